import { createEngine, type Engine } from "../../engine/engine.ts";
import { integers, normals } from "../../schemas/numbers/philox.ts";
import { tf } from "../../engine/tfjs.ts";
import type { FeatureNetwork } from "../../models/features/network.ts";
import { type Comparison, createComparer, duplicateShare, fewestImages } from "../../models/metrics/compare.ts";
import { createDescriber } from "../../models/metrics/describe.ts";
import { plainProducts } from "../../models/metrics/rows.ts";
import type { Picture } from "../../schemas/images.ts";
import { measureFigures, measureTable } from "../../stages/evaluate/lines.ts";
import type { Measures } from "../../stages/evaluate/measures.ts";
import { assert, suite } from "../harness.ts";

const test = suite("comparison of image sets");

const SIZE = 8;

/** Two features: the mean of red and of green over the image. */
const means: FeatureNetwork = {
  name: "channel means",
  hash: "0123456789abcdef",
  dimension: 2,
  size: SIZE,
  resizeFilter: "none",
  parameters: { pick: { shape: [3, 2], data: Float32Array.of(1, 0, 0, 1, 0, 0) } },
  apply: ({ pick }, images) => tf.matMul(tf.mean(images, [1, 2]), pick!),
};

let engine: Engine;
test.before(async () => {
  engine = await createEngine({ device: "cpu", threads: 1 });
});
test.after(() => engine.dispose());

/** Flat pictures whose colour runs with a seed: red around `centre`, green around 128. */
async function* flat(options: { count: number; seed: number; centre: number; size?: number }): AsyncGenerator<Picture> {
  const { count, seed, centre, size = SIZE } = options;
  const draws = normals({ seed, stream: "colours", length: 2 * count });
  for (let i = 0; i < count; i++) {
    const colour = [centre + 10 * draws[2 * i]!, 128 + 10 * draws[2 * i + 1]!, 7].map(Math.round);
    yield {
      pixels: Uint8Array.from({ length: size * size * 3 }, (_, at) => colour[at % 3]!),
      width: size,
      height: size,
    };
  }
}

async function compare(generated: AsyncIterable<Picture>, reference: AsyncIterable<Picture>): Promise<Comparison> {
  const open = await createDescriber({ network: means, engine, batch: 7 });
  const described = async (pictures: AsyncIterable<Picture>, name: string) => {
    const set = open(name);
    for await (const picture of pictures) await set.add(picture);
    return set.finish();
  };
  const sets = { generated: await described(generated, "the generated images"), reference: await described(reference, "the reference") };
  return createComparer({ network: means, products: plainProducts(means.dimension) }).compare(sets);
}

test("a shifted colour is found as its squared shift", async () => {
  const result = await compare(flat({ count: 400, seed: 1, centre: 108 }), flat({ count: 400, seed: 2, centre: 128 }));
  assert.close(result.frechetDistance, 400, 60);
  assert.is(result.count, 400);
  assert.is(result.features, "channel means 01234567");
});

test("the same stream twice: distance 0, precision and recall 1, no band differs", async () => {
  const noise = async function* (): AsyncGenerator<Picture> {
    for (let i = 0; i < 30; i++) {
      const pixels = Uint8Array.from(integers({ seed: i, stream: "noise", length: SIZE * SIZE * 3, below: 256 }));
      yield { pixels, width: SIZE, height: SIZE };
    }
  };
  const { frechetDistance, precision, recall, bands } = await compare(noise(), noise());
  assert.close(frechetDistance, 0, 1e-9);
  assert.equal([precision, recall], [1, 1]);
  assert.equal(bands, [0, 0, 0, 0, 0, 0]);
});

test("the reference's hash follows its pixels and nothing else", async () => {
  const hash = async (seed: number, against: number) => {
    const generated = flat({ count: 9, seed: against, centre: 100 });
    return (await compare(generated, flat({ count: 9, seed, centre: 100 }))).reference;
  };
  assert.is(await hash(1, 2), await hash(1, 3));
  assert.is.not(await hash(1, 2), await hash(4, 2));
});

test("counts may differ: a shift is found from 100 against 400 too", async () => {
  const result = await compare(flat({ count: 100, seed: 1, centre: 108 }), flat({ count: 400, seed: 2, centre: 128 }));
  assert.close(result.frechetDistance, 400, 90);
  assert.equal([result.count, result.references], [100, 400]);
});

test("the least number of images is the first power of two above the dimension", () => {
  assert.equal([1, 2, 63, 64, 1280, 2047, 2048].map(fewestImages), [2, 4, 64, 128, 2048, 2048, 4096]);
});

test("duplicates: copies are found, independent images give about one in a hundred", () => {
  const spread = (count: number, scale: number) => Float64Array.from({ length: count }, (_, i) => ((i + 0.5) / count) * scale);
  assert.is(duplicateShare(spread(1000, 1), spread(1000, 1)), 0.01);
  assert.is(duplicateShare(new Float64Array(50), spread(1000, 1)), 1);
  assert.is(
    duplicateShare(
      spread(50, 1).map((value) => value + 1),
      spread(1000, 1),
    ),
    0,
  );
});

test("different sizes, too few and none are refused", async () => {
  const of = (count: number, size = SIZE) => flat({ count, seed: 1, centre: 100, size });
  await assert.rejects(compare(of(20), of(20, 16)), /8x8 with a reference of 16x16/);
  await assert.rejects(compare(of(2), of(2)), /from 2 images: channel means has 2 features.*at least 4/);
  await assert.rejects(compare(of(20), of(2)), /from 2 images of the reference: .*give more images/);
  await assert.rejects(compare(of(0), of(20)), /generated images: it holds no images/);
  const mixed = async function* () {
    yield* of(3);
    yield* of(1, 16);
  };
  await assert.rejects(compare(mixed(), of(4)), /image 3 has 16x16/);
});

test("every figure carries counts, reference, features and filter", () => {
  const comparison: Comparison = {
    frechetDistance: 12.34567,
    kernelDistance: 0.001,
    precision: 0.5,
    recall: 0.25,
    duplicates: 0.01,
    bands: [0, -1.234],
    count: 512,
    references: 600,
    reference: "abcdef0123456789",
    features: "some network 01234567",
    resizeFilter: "none",
  };
  const measures: Measures = {
    subject: "student, 1 NFE",
    role: "student",
    preparation: "decoded",
    evaluations: 1,
    seeds: [
      { seed: 0, ...comparison, seconds: 0.01 },
      { seed: 1, ...comparison, frechetDistance: 14.34567, seconds: 0.01 },
    ],
  };
  const events = measureFigures(measures);
  assert.is(events.length, 8);
  assert.is(events[0]!.type === "figure" && events[0]!.values.value, "13.35 ± 1.4");
  for (const event of events) {
    assert.is(event.type, "figure");
    if (event.type !== "figure") continue;
    const { samples, reference, features, resize } = event.values;
    assert.equal([samples, reference, features, resize], ["512 against 600", "abcdef012345 (decoded)", "some network 01234567", "none"]);
  }
  const teacher: Measures = {
    ...measures,
    subject: "teacher, 35 NFE",
    role: "teacher",
    evaluations: 35,
    seeds: [{ seed: 0, ...comparison, diversity: 3 }],
  };
  assert.equal(measureTable([measures, teacher]), {
    type: "table",
    stage: "evaluate",
    rows: [
      {
        subject: "student, 1 NFE",
        NFE: 1,
        samples: "512/600",
        Fréchet: "13.35 ± 1.4",
        "of the teacher's": 1.08,
        kernel: "0.001 ± 0",
        precision: "0.5 ± 0",
        recall: "0.25 ± 0",
        duplicates: "0.01 ± 0",
        diversity: "",
        "finest band, dB": "-1.234 ± 0",
      },
      {
        subject: "teacher, 35 NFE",
        NFE: 35,
        samples: "512/600",
        Fréchet: 12.35,
        "of the teacher's": 1,
        kernel: 0.001,
        precision: 0.5,
        recall: 0.25,
        duplicates: 0.01,
        diversity: 3,
        "finest band, dB": -1.234,
      },
    ],
    about: "reference abcdef012345 (decoded); features some network 01234567; resize none",
  });
});

test.run();
