/** What `evaluate` asks of models: the reference's classes, by their names, and values that are finite. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hashWeights, type Weights } from "../../engine/weights.ts";
import { initBuiltin } from "../../models/features/builtin.ts";
import { encodeSafetensors } from "../../models/weights/safetensors.ts";
import { evaluate } from "../../pipelines/evaluate.ts";
import { reprocess } from "../../pipelines/reprocess.ts";
import { simulate } from "../../pipelines/simulate.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { readCodec, readDenoiser, writeCodec, writeModel } from "../../stages/runs/model.ts";
import { placesByName, translateLabels } from "../../stages/simulate/classes.ts";
import { picture } from "../fixtures/png.ts";
import { assert, suite } from "../harness.ts";
import { CLASSES, contextOf, emptyLatents, fillLatents, freshFolder, settingsOf, SIZE, writeRun } from "../simulate/fixture.ts";

const test = suite("asked");

const COUNT = 128; // the least for 64 features
let model: string;
let features: string;
test.before(async () => {
  model = await writeRun();
  features = await featuresOf(initBuiltin({ targets: 2 }, 1));
});

async function featuresOf(tensors: Weights): Promise<string> {
  const folder = freshFolder();
  await mkdir(folder);
  await writeFile(join(folder, "features.safetensors"), encodeSafetensors({ tensors }));
  return join(folder, "features.safetensors");
}

/** Images in a folder a class. */
async function reference(classes: string[], count = COUNT): Promise<string> {
  const folder = freshFolder();
  for (const name of classes) await mkdir(join(folder, name), { recursive: true });
  for (let i = 0; i < count; i++) await writeFile(join(folder, classes[i % classes.length]!, `${i}.png`), picture(i, SIZE));
  return folder;
}

/** The same network with its classes in another order, in the table of its weights too. */
async function reordered(order: number[]): Promise<string> {
  const { description, weights } = await readDenoiser(model);
  const { shape, data } = weights.classes!;
  const width = shape[1]!;
  const rows = [...order, CLASSES.length].map((row) => Array.from(data.subarray(row * width, (row + 1) * width)));
  const turned = { ...weights, classes: { shape, data: Float32Array.from(rows.flat()) } };
  const folder = freshFolder();
  const spec = { ...description.spec, classes: order.map((place) => CLASSES[place]!) };
  await writeModel(folder, { weights: turned, description: { ...description, hash: hashWeights(turned), spec } });
  await writeCodec(folder, await readCodec(model));
  return folder;
}

async function run(options: { model: string; teacher?: string; reference: string; features?: string }) {
  const base = settingsOf({ steps: 2, guidance: 1, batch: 32 });
  const settings = settingsSchema.parse({
    ...base,
    evaluate: { count: COUNT, batch: 32, features: options.features ?? features, speed: false },
  });
  return evaluate({ ...options, settings, context: contextOf() });
}

test(
  "a reference that lacks a model's first class asks for the others by name, whatever their order in each model",
  async () => {
    const turned = await reordered([2, 0, 1]);
    const images = await reference(["dog", "owl"]);
    const measures = await run({ model, teacher: turned, reference: images });
    const [own, theirs] = ["teacher", "pair"].map((role) => measures.filter((of) => of.role === role).map(({ seeds }) => seeds[0]!));
    assert.is(own!.length, 2);
    // The two are one function of a class's name: from the same noise they draw the same pictures.
    assert.close(own![0]!.frechetDistance, own![1]!.frechetDistance, 1e-6 * own![0]!.frechetDistance);
    assert.close(theirs![0]!.frechetDistance, 0, 1e-6);
  },
  { seconds: 180 },
);

test("a class that a model lacks is named before anything is measured", async () => {
  const images = await reference(["bird", "dog"], 4);
  await assert.rejects(
    run({ model, reference: images }),
    `Cannot compare ${model} with ${images}: the model has no class called bird, only cat, dog, owl. Name a reference`,
  );
});

test("a store is not simulated anew by a teacher whose classes lie otherwise", async () => {
  const latents = await emptyLatents();
  await fillLatents(latents);
  const from = freshFolder();
  await simulate({ teacher: model, conditions: latents.folder, out: from, settings: settingsOf(), context: contextOf() });
  const teacher = await reordered([1, 0, 2]);
  await assert.rejects(
    reprocess({ path: from, to: freshFolder(), teacher, settings: settingsOf(), context: contextOf() }),
    /Cannot take conditions from .*: its classes \(cat, dog, owl\) are not the teacher's \(dog, cat, owl\)/,
  );
});

test("labels are translated by name", () => {
  const asked = { attempt: "compare a with b", remedy: "Name another." };
  assert.equal(translateLabels({ names: ["dog", "owl"], own: CLASSES, ...asked })([0, 1, -1, 1]), [1, 2, -1, 2]);
  assert.equal(translateLabels({ names: [], own: CLASSES, ...asked })([-1, -1]), [-1, -1]);
  assert.equal(placesByName(["cafe\u0301", "tea", "Tea"], ["tea", "caf\u00e9"]), [1, 0, -1]);
  assert.throws(
    () => translateLabels({ names: ["dog", "bee", "ant"], own: CLASSES, ...asked }),
    /no class called bee, ant, only cat, dog, owl/,
  );
});

test(
  "pictures and features that are not finite give no distance",
  async () => {
    const images = await reference(["cat", "dog"]);
    await assert.rejects(
      run({ model: await writeRun({ weights: "infinite" }), reference: images }),
      /Cannot draw pictures with .* not finite/,
    );
    // Weights that are not finite are not loaded at all: these are, and their products are not.
    const nothing = Object.fromEntries(
      Object.entries(initBuiltin({ targets: 2 }, 1)).map(([name, { shape, data }]) => [name, { shape, data: data.map(() => 3e38) }]),
    );
    await assert.rejects(
      run({ model, reference: images, features: await featuresOf(nothing) }),
      /Cannot measure reference: the features of its images are not finite; name another network in evaluate.features/,
    );
  },
  { seconds: 180 },
);

test.run();
