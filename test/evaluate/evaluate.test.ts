import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sharp } from "../../schemas/sharp.ts";
import { integers } from "../../engine/philox.ts";
import { encodeSafetensors } from "../../engine/safetensors.ts";
import { hashWeights } from "../../engine/weights.ts";
import { initDenoiser } from "../../models/denoiser.ts";
import { initBuiltin } from "../../models/features/builtin.ts";
import { evaluate } from "../../pipelines/evaluate.ts";
import type { PipelineEvent } from "../../schemas/events.ts";
import { settingsSchema } from "../../schemas/settings.ts";
import { openCodec, writeCodec, writeModel } from "../../stages/model.ts";
import { assert, suite } from "../harness.ts";

const test = suite("evaluate");

const SIZE = 8;
const COUNT = 80; // the least for 64 features

let folder: string;
let features: string;
const settingsOf = (count: number) =>
  settingsSchema.parse({
    images: { size: SIZE },
    network: { kind: "dit", patch: 4, width: 16, depth: 1, heads: 2, condition: "class" },
    evaluate: { count, batch: 16, features },
    simulate: { steps: 2, solver: "euler", batch: 16 },
    engine: { threads: 1 },
  });

test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "onestep-evaluate-"));
  features = join(folder, "features.safetensors");
  await writeFile(features, encodeSafetensors({ tensors: initBuiltin({ targets: 2 }, 1) }));
  await mkdir(join(folder, "images"));
  for (let i = 0; i < 2 * COUNT; i++) {
    const raw = { width: SIZE, height: SIZE, channels: 3 } as const;
    const pixels = Uint8Array.from(integers({ seed: i, stream: "noise", length: SIZE * SIZE * 3, below: 256 }));
    await sharp(pixels, { raw }).png().toFile(join(folder, "images", `${i}.png`));
  }
  await mkdir(join(folder, "model"));
  const { network, diffusion } = settingsOf(COUNT);
  const spec = { shape: [SIZE, SIZE, 3] as [number, number, number], network, diffusion, classes: ["a", "b"], vocabulary: 0 };
  const weights = initDenoiser(spec, 1);
  const statistics = { mean: [0, 0, 0], std: [0.5, 0.5, 0.5], min: [-1, -1, -1], max: [1, 1, 1], nonFinite: 0 };
  await writeModel(join(folder, "model"), {
    weights,
    description: {
      ...{ format: "onestep-model", version: 1, role: "student", hash: hashWeights(weights), spec, statistics },
      captions: [],
    },
  });
  const codec = await openCodec({ encoder: { ...settingsOf(COUNT).encoder, kind: "pixel" }, images: settingsOf(COUNT).images });
  await writeCodec(join(folder, "model"), codec);
});
test.after(() => rm(folder, { recursive: true }));

async function run(count: number) {
  const events: PipelineEvent[] = [];
  const context = { signal: new AbortController().signal, report: (event: PipelineEvent) => void events.push(event) };
  const measures = await evaluate({ model: join(folder, "model"), reference: join(folder, "images"), settings: settingsOf(count), context });
  return { measures, events };
}

test("an untrained student is far from the data, another draw of the data near; every figure is a line", async () => {
  const { measures, events } = await run(COUNT);
  assert.equal(measures.map(({ subject }) => subject), ["student, 1 NFE", "another draw of the reference"]);
  const [student, again] = measures as [(typeof measures)[0], (typeof measures)[0]];
  assert.is(student.evaluations, 1);
  assert.ok(student.seconds! > 0);
  assert.ok(student.comparison.frechetDistance > again.comparison.frechetDistance);
  assert.is(student.comparison.reference, again.comparison.reference);
  assert.is(student.comparison.resizeFilter, "bicubic, antialiased (a=-0.5)");
  const lines = events.filter(({ type }) => type === "result");
  assert.is(lines.length, 6 + 4);
}, { seconds: 60 });

test("too few images are refused before any is generated", async () => {
  await assert.rejects(run(COUNT - 1), /from 79 images: built-in attribute classifier has 64 features.*at least 80/);
});

test("a reference that is too small is refused", async () => {
  await assert.rejects(run(2 * COUNT + 1), /Cannot compare 161 images with .*: it holds 160/);
});

test.run();
