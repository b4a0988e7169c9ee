/** Models whose pictures are no squares are measured: images are cut to the same proportions. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hashWeights } from "../../engine/weights.ts";
import { initDenoiser } from "../../models/denoiser.ts";
import { initBuiltin } from "../../models/features/builtin.ts";
import { encodeSafetensors } from "../../models/weights/safetensors.ts";
import { evaluate } from "../../pipelines/evaluate.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { integers } from "../../schemas/numbers/philox.ts";
import { sharp } from "../../schemas/sharp.ts";
import { decodeImage } from "../../stages/ingest/mod.ts";
import { openCodec, writeCodec, writeModel } from "../../stages/runs/model.ts";
import { assert, suite } from "../harness.ts";
import { freshFolder } from "../simulate/fixture.ts";
import { recordingContext } from "../train/fixture.ts";

const test = suite("evaluation of pictures that are no squares");

const [HEIGHT, WIDTH, COUNT] = [8, 16, 128];
const settings = settingsSchema.parse({
  images: { size: 8 },
  network: { kind: "dit", patch: 4, width: 16, depth: 1, heads: 2, condition: "none" },
  evaluate: { count: COUNT, batch: 16, speed: false },
  simulate: { steps: 2, solver: "euler", batch: 16 },
  engine: { threads: 1 },
});

/** A picture in a wide one: its middle, between `margin` other columns on either side. */
const within = (i: number, margin: number): Promise<Buffer> => {
  const width = WIDTH + 2 * margin;
  const drawn = (stream: string) => integers({ seed: i, stream, length: HEIGHT * WIDTH * 3, below: 256 });
  const [middle, others] = [drawn("middle"), drawn("others")];
  const pixels = Uint8Array.from({ length: HEIGHT * width * 3 }, (_, at) => {
    const [row, column] = [Math.floor(at / (3 * width)), at % (3 * width)];
    const inside = column - 3 * margin;
    return inside >= 0 && inside < 3 * WIDTH ? middle[3 * WIDTH * row + inside]! : others[column]!;
  });
  return sharp(pixels, { raw: { width, height: HEIGHT, channels: 3 } })
    .png()
    .toBuffer();
};

test("the middle of a wide image is cut out, and keeps its pixels where it has the size", async () => {
  const options = { size: [HEIGHT, WIDTH] as const, background: "#ffffff", maxPixels: 1e6 };
  const found = await decodeImage(await within(1, 5), options);
  assert.equal([...found], [...integers({ seed: 1, stream: "middle", length: HEIGHT * WIDTH * 3, below: 256 })]);
});

test("an image of another size keeps its proportions", async () => {
  const ramp = Uint8Array.from({ length: 40 * 60 * 3 }, (_, at) => 4 * (Math.floor(at / 3) % 60)); // by the column, 0 to 236
  const png = await sharp(ramp, { raw: { width: 60, height: 40, channels: 3 } })
    .png()
    .toBuffer();
  for (const [height, width] of [
    [10, 20],
    [60, 120],
  ] as const) {
    const pixels = await decodeImage(png, { size: [height, width], background: "#ffffff", maxPixels: 1e6 });
    assert.is(pixels.length, height * width * 3);
    const step = (4 * 60) / width; // the whole width: 40 rows of 60 columns lose ten rows
    for (let x = 3; x < width - 3; x++) assert.close(pixels[3 * x]!, step * (x + 0.5) - 2, 1.5, `column ${x} of ${width}`);
  }
});

test(
  "a model of wide pictures is measured against images of any width",
  async () => {
    const folder = freshFolder();
    const features = join(folder, "features.safetensors");
    const model = join(folder, "model");
    await mkdir(model, { recursive: true });
    await writeFile(features, encodeSafetensors({ tensors: initBuiltin({ targets: 2 }, 1) }));
    const { network, diffusion } = settings;
    const spec = { shape: [HEIGHT, WIDTH, 3] as [number, number, number], network, diffusion, classes: [], vocabulary: 0 };
    const weights = initDenoiser(spec, 1);
    const statistics = { mean: [0, 0, 0], std: [0.5, 0.5, 0.5], min: [-1, -1, -1], max: [1, 1, 1], nonFinite: 0 };
    const description = { ...({ role: "student", hash: hashWeights(weights), spec, statistics } as const), captions: [] };
    await writeModel(model, { weights, description });
    const codec = await openCodec({ encoder: { ...settings.encoder, kind: "pixel" }, images: settings.images });
    await writeCodec(model, { ...codec, description: { ...codec.description, shape: spec.shape, imageSize: [HEIGHT, WIDTH] } });

    const references: unknown[] = [];
    for (const margin of [0, 5]) {
      const reference = join(folder, `images-${margin}`);
      await mkdir(reference);
      for (let i = 0; i < 2 * COUNT; i++) await writeFile(join(reference, `${1000 + i}.png`), await within(i, margin));
      const out = join(folder, `${margin}.json`);
      const own = { ...settings, evaluate: { ...settings.evaluate, features } };
      const measures = await evaluate({ model, reference, out, settings: own, context: recordingContext().context });
      assert.equal(
        measures.map(({ role }) => role),
        ["floor", "ceiling", "student"],
      );
      const record = JSON.parse(await readFile(out, "utf8"));
      assert.equal(record.reference.size, [HEIGHT, WIDTH]);
      references.push(record.reference.hash, measures[2]!.seeds[0]!.frechetDistance);
    }
    assert.equal(references.slice(2), references.slice(0, 2), "what stood beside the middle is not looked at");
  },
  { seconds: 120 },
);

test.run();
