import { createEngine } from "../../engine/engine.ts";
import { integers, normals } from "../../schemas/numbers/philox.ts";
import { loadFeatureNetwork } from "../../models/features/load.ts";
import { frechetDistance } from "../../models/metrics/frechet.ts";
import { runningStatistics } from "../../models/metrics/statistics.ts";
import { create, projection } from "../../stages/workers/watcher.ts";
import { createDescriber } from "../../models/metrics/describe.ts";
import { sampleEvenly, SAMPLED_AT_ONCE } from "../../stages/train/sample-evenly.ts";
import { assert, suite } from "../harness.ts";

const test = suite("watch");

const SIZE = 16;
const cpu = { device: "cpu", precision: "single", threads: 1 } as const;

/** Noisy pictures, in tones around one that differs from picture to picture by `spread`. */
function pictures(count: number, { seed, spread = 60 }: { seed: number; spread?: number }): Uint8Array {
  const length = SIZE * SIZE * 3;
  const noise = integers({ seed, stream: "pictures", length: count * length, below: 30 });
  const tones = normals({ seed, stream: "tones", length: count * 3 });
  return Uint8Array.from(noise, (value, i) => {
    const tone = 120 + spread * tones[3 * Math.floor(i / length) + (i % 3)]!;
    return Math.max(0, Math.min(255, tone + value));
  });
}

test("measures what evaluate's own pieces do, and again the same", async () => {
  const watcher = await create({ features: "builtin", imageSize: SIZE, engine: cpu });
  const [real, fake] = [pictures(100, { seed: 1 }), pictures(130, { seed: 2, spread: 8 })];
  await watcher.add(real.subarray(0, 70 * SIZE * SIZE * 3)); // however they are portioned
  await watcher.add(real.subarray(70 * SIZE * SIZE * 3));
  await watcher.refer();
  await watcher.add(fake);
  const first = await watcher.measure();

  const network = await loadFeatureNetwork({ path: "builtin", imageSize: SIZE });
  const open = await createDescriber({ network, engine: await createEngine(cpu), batch: 32 });
  const fitted = async (pixels: Uint8Array) => {
    const set = open("a set");
    const length = SIZE * SIZE * 3;
    for (let at = 0; at < pixels.length; at += length)
      await set.add({ pixels: pixels.subarray(at, at + length), width: SIZE, height: SIZE });
    const sums = runningStatistics(network.dimension);
    sums.add((await set.finish()).features);
    return sums.result();
  };
  const [a, b] = [await fitted(fake), await fitted(real)];
  const expected = frechetDistance(a, b);
  assert.ok(Math.abs(first.distance - expected) < 1e-5 * expected, `${first.distance} and ${expected}`);
  const trace = ({ covariance }: typeof a) =>
    covariance.reduce((sum, value, i) => sum + (i % (network.dimension + 1) === 0 ? value : 0), 0);
  assert.ok(Math.abs(first.diversity - Math.sqrt(trace(a) / trace(b))) < 1e-5);
  assert.ok(first.diversity < 0.9, `less varied tones: ${first.diversity}`);

  await watcher.add(fake);
  assert.equal(await watcher.measure(), first);
  await watcher.add(real);
  const same = await watcher.measure();
  assert.ok(same.distance < 1e-4 * expected && Math.abs(same.diversity - 1) < 1e-6, "the reference itself");
});

test("precision and recall are by definition: shares of rows within the third neighbour's distance of the other set", async () => {
  const watcher = await create({ features: "builtin", imageSize: SIZE, engine: cpu, coverage: true });
  const [real, fake] = [pictures(90, { seed: 1 }), pictures(70, { seed: 2, spread: 12 })];
  await watcher.add(real);
  await watcher.refer();
  await watcher.add(fake);
  const found = await watcher.measure();

  const network = await loadFeatureNetwork({ path: "builtin", imageSize: SIZE });
  const open = await createDescriber({ network, engine: await createEngine(cpu), batch: 32 });
  const rowsOf = async (pixels: Uint8Array): Promise<Float32Array[]> => {
    const set = open("a set");
    const length = SIZE * SIZE * 3;
    for (let at = 0; at < pixels.length; at += length)
      await set.add({ pixels: pixels.subarray(at, at + length), width: SIZE, height: SIZE });
    const { features } = await set.finish();
    const { dimension } = network;
    return Array.from({ length: features.length / dimension }, (_, row) =>
      Float32Array.from(features.slice(row * dimension, (row + 1) * dimension)),
    );
  };
  const [reals, fakes] = [await rowsOf(real), await rowsOf(fake)];
  const apart = (a: Float32Array, b: Float32Array): number => a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0);
  const within = (set: Float32Array[], others: Float32Array[]): number => {
    const radii = set.map((row, i) => set.flatMap((other, j) => (i === j ? [] : [apart(row, other)])).sort((a, b) => a - b)[2]!);
    return others.filter((row) => set.some((centre, i) => apart(centre, row) <= radii[i]!)).length / others.length;
  };
  assert.close([found.precision!, found.recall!], [within(reals, fakes), within(fakes, reals)], 0.02);
  assert.ok(found.recall! < found.precision!, "less varied samples cover less");
  await watcher.add(fake);
  assert.equal(await watcher.measure(), found);

  const plain = await create({ features: "builtin", imageSize: SIZE, engine: cpu });
  await plain.add(real);
  await plain.refer();
  await plain.add(fake);
  assert.equal(Object.keys(await plain.measure()).sort(), ["distance", "diversity"]);
});

test("many features are seen along 128 directions that keep squared lengths on average", () => {
  const few = Float32Array.of(1, 2, 3);
  assert.is(projection(3).apply(few, 1), few);
  const project = projection(1280);
  assert.is(project.dimension, 128);
  const rows = 50;
  const features = normals({ seed: 4, stream: "features", length: rows * 1280 });
  const seen = project.apply(features, rows);
  assert.is(seen.length, rows * 128);
  const squared = (values: ArrayLike<number>) => Array.from(values).reduce((sum, value) => sum + value * value, 0);
  assert.ok(Math.abs(squared(seen) / squared(features) - 1) < 0.05, `${squared(seen) / squared(features)}`);
  assert.equal(
    projection(1280).apply(features.subarray(0, 1280), 1),
    Array.from(seen)
      .slice(0, 128)
      .reduce((row, value, i) => row.fill(value, i, i + 1), new Float64Array(128)),
  );
});

test("a sampler is called with the same number of rows whatever is asked", async () => {
  for (const rows of [1, 31, 32, 33, 70]) {
    const calls: number[] = [];
    const noise = Float32Array.from({ length: rows * 2 }, (_, i) => i);
    const label = Int32Array.from({ length: rows }, (_, i) => i);
    const made = await sampleEvenly(
      async (inputs) => {
        calls.push(inputs.rows);
        return inputs.noise.map((value, i) => value + 1000 * inputs.conditions.label![i >> 1]!);
      },
      { noise, rows, conditions: { label } },
    );
    assert.equal(
      [...made],
      [...noise].map((value, i) => value + 1000 * (i >> 1)),
      `${rows} rows`,
    );
    assert.ok(calls.every((count) => count === SAMPLED_AT_ONCE));
  }
});

test("every noise that a sample takes goes with its row", async () => {
  const rows = 40;
  const of = (factor: number) => Float32Array.from({ length: rows * 2 }, (_, i) => factor * i);
  const made = await sampleEvenly(
    async ({ noise, fresh, prior }) => noise.map((value, i) => value + fresh![0]![i]! + fresh![1]![i]! + prior![i]!),
    { noise: of(1), fresh: [of(10), of(100)], prior: of(1000), rows, conditions: {} },
  );
  assert.equal([...made], [...of(1111)]);
});

test.run();
