import { normals } from "../../schemas/numbers/philox.ts";
import { coverage, nearestOthers, precisionRecall, radiiOf } from "../../models/metrics/neighbours.ts";
import { centreOf, plainProducts, prepareRows, type Products, squaredDistance } from "../../models/metrics/rows.ts";
import { createProducts } from "../../models/metrics/products.ts";
import { assert, suite } from "../harness.ts";

const test = suite("precision and recall");

const rowsOf = (features: Float32Array, dimension: number, centre = centreOf(features, dimension)) =>
  prepareRows({ features, dimension, centre });
const squaredRadii = async (features: Float32Array, dimension: number, k: number, products = plainProducts(dimension)) =>
  radiiOf(await nearestOthers({ rows: rowsOf(features, dimension), k, products }));

test("the radius is the distance to the k-th nearest other row", async () => {
  const line = Float32Array.of(0, 1, 3, 7, 15);
  assert.equal([...(await squaredRadii(line, 1, 1))], [1, 1, 4, 16, 64]);
  assert.equal([...(await squaredRadii(line, 1, 3))], [49, 36, 16, 49, 196]);
});

test("too few rows have no k-th neighbour", async () => {
  await assert.rejects(squaredRadii(Float32Array.of(0, 1, 2), 1, 3), /at least 4/);
});

test("a fake on the rim of a ball is inside; answers worked out by hand", async () => {
  // k = 1. Reals 0, 1, 10, 11: all radii 1, so the reals cover [-1, 2] and [9, 12].
  // Fakes 0.5, 2, 2.5, 5: radii 1.5, 0.5, 0.5, 2.5 cover [-1, 2], [1.5, 2.5], [2, 3], [2.5, 7.5].
  const result = await precisionRecall({
    real: Float32Array.of(0, 1, 10, 11),
    fake: Float32Array.of(0.5, 2, 2.5, 5),
    dimension: 1,
    k: 1,
  });
  assert.equal(result, { precision: 2 / 4, recall: 2 / 4 });
});

test("one mode of two found: full precision, half the recall", async () => {
  const cluster = (seed: number, centre: number) => normals({ seed, stream: "mode", length: 200 * 2 }).map((value) => centre + value);
  const real = Float32Array.from([...cluster(1, 0), ...cluster(2, 100)]);
  const { precision, recall } = await precisionRecall({ real, fake: cluster(3, 0), dimension: 2 });
  assert.ok(precision > 0.95, `precision ${precision}`);
  assert.ok(recall > 0.45 && recall <= 0.5, `recall ${recall}`);
  const apart = await precisionRecall({ real: cluster(1, 0), fake: cluster(2, 100), dimension: 2 });
  assert.equal(apart, { precision: 0, recall: 0 });
});

test("the blocked loop agrees with the plain definition on awkward sizes", async () => {
  const dimension = 5;
  const real = normals({ seed: 4, stream: "real", length: 71 * dimension });
  const fake = normals({ seed: 4, stream: "fake", length: 38 * dimension }).map((value) => 1.3 * value);
  const rows = (set: Float32Array) =>
    Array.from({ length: set.length / dimension }, (_, i) => set.subarray(i * dimension, (i + 1) * dimension));
  const distance = (a: Float32Array, b: Float32Array) => Math.hypot(...a.map((value, i) => value - b[i]!));
  const covered = (points: Float32Array[], centres: Float32Array[]) => {
    const balls = centres.map((centre) => {
      const others = centres.filter((other) => other !== centre).map((other) => distance(centre, other));
      return { centre, radius: others.sort((a, b) => a - b)[2]! };
    });
    const inside = points.filter((point) => balls.some(({ centre, radius }) => distance(point, centre) <= radius));
    return inside.length / points.length;
  };
  assert.equal(await precisionRecall({ real, fake, dimension }), {
    precision: covered(rows(fake), rows(real)),
    recall: covered(rows(real), rows(fake)),
  });
});

test("a set against itself is 1 and 1", async () => {
  const real = normals({ seed: 9, stream: "self", length: 64 * 3 });
  assert.equal(await precisionRecall({ real, fake: real, dimension: 3 }), { precision: 1, recall: 1 });
});

/** Everything by the definition, with differences before squares, in float64. */
function byDefinition(real: Float32Array, fake: Float32Array, dimension: number, k: number) {
  const [reals, fakes] = [rowsOf(real, dimension), rowsOf(fake, dimension)];
  const sorted = (of: typeof reals, i: number, among: typeof reals) =>
    Array.from({ length: among.count }, (_, j) => ({ j, squared: squaredDistance(of, i, among, j) })).sort((a, b) => a.squared - b.squared);
  const radii = (rows: typeof reals) =>
    Array.from({ length: rows.count }, (_, i) => sorted(rows, i, rows).filter(({ j }) => j !== i)[k - 1]!.squared);
  const inside = (points: typeof reals, centres: typeof reals, limits: number[]) =>
    Array.from({ length: points.count }, (_, i) => limits.some((limit, j) => squaredDistance(points, i, centres, j) <= limit)).filter(
      Boolean,
    ).length / points.count;
  return {
    precision: inside(fakes, reals, radii(reals)),
    recall: inside(reals, fakes, radii(fakes)),
    nearest: Array.from({ length: fakes.count }, (_, i) =>
      sorted(fakes, i, reals)
        .slice(0, k)
        .map(({ squared }) => squared),
    ).flat(),
  };
}

test("float32 products decide nothing that double differences would not: near duplicates far from the origin", async () => {
  // 1,000 times the spread away from zero, with copies that differ in the last bits only: the expanded form alone fails.
  const [dimension, k] = [24, 3];
  const real = normals({ seed: 7, stream: "real", length: 1100 * dimension }).map((value) => 1000 + value);
  const fake = normals({ seed: 7, stream: "fake", length: 300 * dimension }).map((value) => 1000 + value);
  const near = normals({ seed: 7, stream: "near", length: 100 * dimension });
  for (let at = 0; at < near.length; at++) fake[at] = real[at]! + 1e-4 * near[at]!;
  const expected = byDefinition(real, fake, dimension, k);
  for (const products of [plainProducts(dimension), createProducts({ dimension, threads: 1 })]) {
    const centre = centreOf(real, dimension);
    const [reals, fakes] = [rowsOf(real, dimension, centre), rowsOf(fake, dimension, centre)];
    const options = {
      reals,
      fakes,
      k,
      products,
      realRadii: await squaredRadii(real, dimension, k),
      fakeRadii: await squaredRadii(fake, dimension, k),
    };
    const { precision, recall, nearest } = await coverage(options);
    assert.equal([precision, recall], [expected.precision, expected.recall]);
    assert.equal([...nearest.squared], expected.nearest);
    assert.equal(
      [...nearest.index].slice(0, 3 * 100).filter((_, at) => at % 3 === 0),
      Array.from({ length: 100 }, (_, i) => i),
    );
  }
});

test("compiled products are the plain ones, for any number of rows", async () => {
  const dimension = 7;
  const compiled = createProducts({ dimension, threads: 1 });
  for (const [rowsA, rowsB] of [
    [3, 5],
    [1024, 2],
    [1, 1024],
  ] as const) {
    const a = normals({ seed: rowsA, stream: "a", length: rowsA * dimension });
    const b = normals({ seed: rowsB, stream: "b", length: rowsB * dimension });
    assert.close(await compiled(a, b), await plainProducts(dimension)(a, b), 1e-5);
  }
  const wide: Products = createProducts({ dimension, threads: 1 });
  await assert.rejects(wide(new Float32Array(1025 * dimension), new Float32Array(dimension)), /1025 by 1 rows: at most 1024/);
});

test.run();
