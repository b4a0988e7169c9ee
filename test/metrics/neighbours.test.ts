import { normals } from "../../engine/philox.ts";
import { precisionRecall, squaredRadii } from "../../models/metrics/neighbours.ts";
import { assert, suite } from "../harness.ts";

const test = suite("precision and recall");

test("the radius is the distance to the k-th nearest other row", () => {
  const line = Float32Array.of(0, 1, 3, 7, 15);
  assert.equal([...squaredRadii(line, 1, 1)], [1, 1, 4, 16, 64]);
  assert.equal([...squaredRadii(line, 1, 3)], [49, 36, 16, 49, 196]);
});

test("too few rows have no k-th neighbour", () => {
  assert.throws(() => squaredRadii(Float32Array.of(0, 1, 2), 1, 3), /at least 4/);
});

test("a fake on the rim of a ball is inside; answers worked out by hand", () => {
  // k = 1. Reals 0, 1, 10, 11: all radii 1, so the reals cover [-1, 2] and [9, 12].
  // Fakes 0.5, 2, 2.5, 5: radii 1.5, 0.5, 0.5, 2.5 cover [-1, 2], [1.5, 2.5], [2, 3], [2.5, 7.5].
  const result = precisionRecall({
    real: Float32Array.of(0, 1, 10, 11),
    fake: Float32Array.of(0.5, 2, 2.5, 5),
    dimension: 1,
    k: 1,
  });
  assert.equal(result, { precision: 2 / 4, recall: 2 / 4 });
});

test("one mode of two found: full precision, half the recall", () => {
  const cluster = (seed: number, centre: number) =>
    normals({ seed, stream: "mode", length: 200 * 2 }).map((value) => centre + value);
  const real = Float32Array.from([...cluster(1, 0), ...cluster(2, 100)]);
  const { precision, recall } = precisionRecall({ real, fake: cluster(3, 0), dimension: 2 });
  assert.ok(precision > 0.95, `precision ${precision}`);
  assert.ok(recall > 0.45 && recall <= 0.5, `recall ${recall}`);
  const apart = precisionRecall({ real: cluster(1, 0), fake: cluster(2, 100), dimension: 2 });
  assert.equal(apart, { precision: 0, recall: 0 });
});

test("the blocked loop agrees with the plain definition on awkward sizes", () => {
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
  assert.equal(precisionRecall({ real, fake, dimension }), {
    precision: covered(rows(fake), rows(real)),
    recall: covered(rows(real), rows(fake)),
  });
});

test("a set against itself is 1 and 1", () => {
  const real = normals({ seed: 9, stream: "self", length: 64 * 3 });
  assert.equal(precisionRecall({ real, fake: real, dimension: 3 }), { precision: 1, recall: 1 });
});

test.run();
