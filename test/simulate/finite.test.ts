/** Values that are not finite are no result: no row, no picture, no distance, no weights. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { hashWeights, type Weights } from "../../engine/weights.ts";
import { autoencoderConfig, initAutoencoder, latentShape } from "../../models/codecs/autoencoder.ts";
import { ONE_STEP } from "../../models/diffusion/sampler-plan.ts";
import { sample } from "../../pipelines/sample.ts";
import { simulate } from "../../pipelines/simulate.ts";
import type { PipelineEvent } from "../../schemas/events.ts";
import type { ImageSample, Rejected } from "../../schemas/images.ts";
import { encodeShards, type LatentShard } from "../../stages/encode/encode.ts";
import { drain, pull } from "../../stages/flow/mod.ts";
import { openReference } from "../../stages/evaluate/reference.ts";
import { openGenerator } from "../../stages/sample/generator.ts";
import { writeCodec } from "../../stages/runs/model.ts";
import { simulateShards, type TripleShard } from "../../stages/simulate/simulate.ts";
import { keptWeights, openProgress } from "../../stages/train/progress.ts";
import { createWatch } from "../../stages/train/watch.ts";
import { create } from "../../stages/workers/codec.ts";
import { createLatentStore } from "../../store/rows/latents.ts";
import { idRange, writeShard } from "../../store/shards/store.ts";
import { createTripleStore } from "../../store/rows/triples.ts";
import { assert, suite } from "../harness.ts";
import { contextOf, freshFolder, LENGTH, settingsOf, SIZE, writeRun } from "./fixture.ts";

const test = suite("finite");
const cpu = settingsOf().engine;

test("a teacher that gives no numbers ends a simulation at its first shard, and draws no picture", async () => {
  const broken = await writeRun({ weights: "infinite" });
  const out = freshFolder();
  let done = 0;
  const context = contextOf((event: PipelineEvent) => {
    if (event.type === "progress") done = event.done;
  });
  const run = simulate({ teacher: broken, out, settings: settingsOf({ count: 100_000 }), context });
  const reason = "192 of the 192 values of its latent are not finite";
  await assert.rejects(run, `Cannot go on making ${out}: no latent of shard 0, the first, is finite (first reason: ${reason})`);
  assert.ok(done <= 16, `${done} rows were made`);
  assert.equal(readdirSync(join(out, "shards")), []);

  const grid = join(freshFolder(), "grid.png");
  await assert.rejects(
    sample({ model: broken, count: 4, out: grid, settings: settingsOf(), context: contextOf() }),
    /^Cannot draw pictures with .*: 4 of 4 hold values that are not finite/,
  );
  assert.not(existsSync(grid));
});

/** Runs shards through `simulateShards` with a sampler whose rows of some shards are not finite. */
async function simulated(bad: number[], done = 0): Promise<TripleShard[]> {
  const store = await createTripleStore({
    folder: freshFolder(),
    manifest: {
      shape: [1, 1, 2],
      dtype: "float32",
      entries: 12,
      rowsPerShard: 4,
      classes: [],
      seed: "1",
      noise: "derived",
      teacher: {
        hash: "t",
        role: "teacher",
        description: "d",
        statistics: { mean: [0, 0], std: [1, 1], min: [0, 0], max: [1, 1], nonFinite: 0 },
      },
      solver: { name: "euler", steps: 1 },
      diffusion: settingsOf().diffusion,
      guidance: 1,
      conditions: { source: "none" },
      engine: { device: "cpu", version: "test", batch: 2 },
    },
  });
  let call = 0;
  const shards: TripleShard[] = [];
  const planned = [0, 1, 2].map((shard) => ({ shard, ...idRange(store.manifest, shard), conditions: [{}, {}, {}, {}] }));
  const stage = simulateShards({
    store,
    batch: 2,
    elsewhere: () => done,
    report: () => {},
    sample: async ({ noise }) => ({ latents: bad.includes(Math.floor(call++ / 2)) ? noise.fill(Number.NaN) : noise, states: [] }),
  });
  await drain(pull(() => planned).pipe(stage), { sink: (shard) => void shards.push(shard) });
  return shards;
}

test("a shard without a good row is one of failures where others have rows, and the end where none before it had", async () => {
  const counts = (shards: TripleShard[]) => shards.map(({ rows, failed }) => [rows.length, failed.length]);
  assert.equal(counts(await simulated([1])), [
    [4, 0],
    [0, 4],
    [4, 0],
  ]);
  assert.equal(
    counts(await simulated([0], 8)),
    [
      [0, 4],
      [4, 0],
      [4, 0],
    ],
    "the store has other shards already",
  );
  await assert.rejects(simulated([0]), /no latent of shard 0, the first, is finite/);
});

const image = (index: number): ImageSample => ({
  kind: "image",
  index,
  source: "s.zip",
  name: `a\n${index}`,
  size: 1,
  pixels: new Uint8Array(3),
});
const rejected = (index: number): Rejected => ({ kind: "rejected", index, source: "s.zip", entry: "e", reason: "torn" });

/** Shards of three items through `encodeShards`, with an encoder whose latents of some images are not finite. */
async function encoded(items: (ImageSample | Rejected)[][], bad: number[], isBegun = false): Promise<LatentShard[]> {
  let at = 0;
  const call = async (_: string, pixels: Uint8Array) =>
    Float32Array.from({ length: pixels.length / 3 }, () => (bad.includes(at++) ? Number.POSITIVE_INFINITY : 1));
  const shards: LatentShard[] = [];
  const store = { folder: "latents", manifest: { rowsPerShard: 3 } } as never;
  await drain(pull(() => items).pipe(encodeShards({ compute: { call } as never, store, isBegun })), {
    sink: (shard) => void shards.push(shard),
  });
  return shards;
}

test("an encoder's values that are not finite reject the image by name; from the first shard on they end an ingest", async () => {
  const items = [
    [image(0), rejected(1), image(2)],
    [image(3), image(4), image(5)],
  ];
  const [first, second] = await encoded(items, [1, 2, 3, 4]);
  const reason = "1 of the 1 values of its latent are not finite";
  assert.equal(
    first?.rows.map(({ index }) => index),
    [0],
  );
  assert.equal(first?.failed, [
    { id: 1, name: "s.zip: e", reason: "torn" },
    { id: 2, name: "s.zip: a\\u{a}2", reason },
  ]);
  assert.equal([second?.rows.length, second?.failed.length], [0, 3]);
  await assert.rejects(encoded(items, [0, 1]), /Cannot go on making latents: no latent of shard 0, the first, is finite .*the encoder/);
  assert.equal(
    (await encoded(items, [0, 1], true)).map(({ rows }) => rows.length),
    [0, 3],
  );
  // Files that are no images say nothing of the encoder.
  const torn = [[rejected(0), rejected(1), rejected(2)], items[1]!];
  assert.equal(
    (await encoded(torn, [])).map(({ rows }) => rows.length),
    [0, 3],
  );
});

const config = autoencoderConfig({ channels: 4, downsample: 2, width: 8, perceptualWeight: 0, boundWeight: 0 });
const shape = latentShape(config, SIZE);

/** An autoencoder whose decoder, or encoder, gives no numbers: of weights that are none, or whose products are too large for them. */
function brokenCodec(part: "encoder" | "decoder", weight = Number.NaN) {
  const weights = initAutoencoder(config, 1);
  const broken: Weights = Object.fromEntries(
    Object.entries(weights).map(([name, { shape, data }]) => [
      name,
      { shape, data: name.startsWith(part) ? data.map(() => weight) : data },
    ]),
  );
  return { description: { kind: "autoencoder", imageSize: SIZE, shape, hash: hashWeights(broken), config }, weights: broken };
}

test("a codec counts the pictures that it cannot draw, and who makes results of them ends", async () => {
  const codec = await create({ ...brokenCodec("decoder"), batch: 2, engine: cpu });
  const length = shape[0] * shape[1] * shape[2];
  assert.is((await codec.decode(new Float32Array(3 * length))).notFinite, 3);
  const sound = await create({ ...brokenCodec("encoder"), batch: 2, engine: cpu });
  assert.is((await sound.decode(new Float32Array(3 * length))).notFinite, 0);
  assert.ok((await sound.encode(new Uint8Array(LENGTH))).every(Number.isNaN));

  const stored = brokenCodec("decoder", 3e38); // what is not finite itself is not loaded
  const store = await createLatentStore({
    folder: freshFolder(),
    manifest: {
      shape,
      dtype: "float32",
      entries: 2,
      rowsPerShard: 2,
      classes: [],
      imageSize: SIZE,
      encoder: { kind: "autoencoder", hash: stored.description.hash },
      source: { fingerprint: "s" },
      engine: { device: "cpu", version: "test" },
    },
  });
  const rows = [0, 1].map((index) => ({ index, name: `${index}.png`, latent: new Float32Array(length) }));
  await writeShard(store, { shard: 0, rows, failed: [] });
  await writeCodec(store.folder, stored);
  const reference = await openReference({ path: store.folder, settings: settingsOf() });
  await assert.rejects(async () => {
    for await (const _ of reference.all());
  }, /^Cannot compare with .*: 2 of 2 images hold values that are not finite/);
});

test("latents of a model are looked at before they are drawn", async () => {
  const generator = await openGenerator({ path: await writeRun(), settings: settingsOf(), context: contextOf() });
  try {
    const latents = await generator.latents({ seed: 1, count: 3 });
    assert.is((await generator.decode(latents)).length, 3);
    latents[LENGTH + 5] = Number.NEGATIVE_INFINITY;
    await assert.rejects(async () => generator.decode(latents), /1 of 3 hold values that are not finite/);
  } finally {
    await generator.close();
  }
});

test("weights that are not finite reach neither a checkpoint nor a result", async () => {
  const weights = (value: number): Weights => ({ kernel: { shape: [2], data: Float32Array.of(1, value) } });
  const training = (out: string) =>
    ({
      name: "train",
      out,
      identity: "i",
      group: "train",
      settings: { keep: "last" },
      method: { makes: "student" },
      job: { optimiser: { steps: 10 } },
    }) as never;
  const trainer = (value: number) =>
    ({
      isSound: async () => true, // each figure was finite
      save: async () => ({ "student.network": weights(value), "student.average": weights(1) }),
      read: async () => weights(value),
      whole: async (_: string, trained: Weights) => trained,
    }) as never;
  const out = freshFolder();
  const message =
    /^Cannot keep the weights of .* (after step 4|at its end): kernel holds values that are not finite.*Lower train.learningRate/;
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const progress = await openProgress({ training: training(out), trainer: trainer(bad), context: contextOf() });
    await assert.rejects(progress.save(4), message);
    await assert.rejects(keptWeights(training(out), trainer(bad), progress), message);
  }
  const progress = await openProgress({ training: training(out), trainer: trainer(2), context: contextOf() });
  assert.is((await openProgress({ training: training(out), trainer: trainer(2), context: contextOf() })).from, 0, "nothing was saved");
  assert.equal(await keptWeights(training(out), trainer(2), progress), weights(2));
});

test("a training is not measured by samples that are not finite", async () => {
  const latent = new Float32Array(LENGTH);
  const picture = { pixels: new Uint8Array(LENGTH), width: SIZE, height: SIZE };
  const context = contextOf();
  const watch = createWatch({
    settings: { distanceCount: 4, distanceFeatures: "builtin" },
    spec: { shape: [SIZE, SIZE, 3] } as never,
    plan: ONE_STEP,
    conditions: { inputs: () => ({}) } as never,
    reference: async () => Array.from({ length: 4 }, () => ({ latent })),
    decoder: { decode: async (latents: Float32Array) => new Array(latents.length / LENGTH).fill(picture) } as never,
    imageSize: SIZE,
    engine: cpu,
    seed: 1,
    context,
  });
  try {
    await assert.rejects(
      watch.measure(async ({ rows }) => new Float32Array(rows * LENGTH).fill(Number.NaN)),
      /Cannot measure the training: its samples are not finite/,
    );
  } finally {
    await watch.close();
  }
});

test.run();
