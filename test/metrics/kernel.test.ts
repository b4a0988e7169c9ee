import { normals } from "../../schemas/numbers/philox.ts";
import { frechetDistance } from "../../models/metrics/frechet.ts";
import { kernelDistance } from "../../models/metrics/kernel.ts";
import { runningStatistics } from "../../models/metrics/statistics.ts";
import { assert, suite } from "../harness.ts";

const test = suite("kernel distance");

function fit(features: Float32Array, dimension: number) {
  const statistics = runningStatistics(dimension);
  statistics.add(features);
  return statistics.result();
}

test("by hand: one feature, two rows against two", async () => {
  // k(x, y) = (x y + 1)^3. Among (0, 1): k(0, 1) = 1. Among (1, 2): 27. Across: 1, 1, 8, 27, of mean 37 / 4.
  const distance = await kernelDistance({ first: Float32Array.of(0, 1), second: Float32Array.of(1, 2), dimension: 1 });
  assert.close(distance, 1 + 27 - 2 * (37 / 4), 1e-6);
});

test("normals shifted by s in one dimension: what the moments of both sides say", async () => {
  // E (x y + 1)^3 = 1 + 3 m m' + 3 q q' + c c' with mean, second and third moment of either side.
  const shift = 0.5;
  const [q, c] = [1 + shift ** 2, shift ** 3 + 3 * shift];
  const expected = 3 * shift ** 2 + 3 * (1 - q) ** 2 + c ** 2;
  const rows = 3000;
  const first = normals({ seed: 1, stream: "kernel", length: rows });
  const second = normals({ seed: 2, stream: "kernel", length: rows }).map((value) => value + shift);
  assert.close(await kernelDistance({ first, second, dimension: 1 }), expected, 0.25 * expected);
});

test("few samples of one distribution: about 0 on average, where the Fréchet distance is not", async () => {
  const [rows, dimension, draws] = [40, 16, 30];
  let [kernel, frechet] = [0, 0];
  for (let seed = 0; seed < draws; seed++) {
    const sets = ["a", "b"].map((stream) => normals({ seed, stream, length: rows * dimension })) as [Float32Array, Float32Array];
    kernel += (await kernelDistance({ first: sets[0], second: sets[1], dimension })) / draws;
    frechet += frechetDistance(fit(sets[0], dimension), fit(sets[1], dimension)) / draws;
  }
  assert.close(kernel, 0, 0.02);
  assert.ok(frechet > 3, `${frechet}`);
});

test("more rows than are taken: an even selection, the same every time", async () => {
  const features = Float32Array.from({ length: 5200 }, (_, i) => Math.sin(i));
  const first = features.map((value) => value + 1);
  const once = await kernelDistance({ first, second: features, dimension: 1 });
  assert.is(await kernelDistance({ first, second: features, dimension: 1 }), once);
  assert.ok(once > 0);
});

test.run();
