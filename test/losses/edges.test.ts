/** Sobel's edges of pictures whose edges are known, and against the filter written out. */
import "../../engine/gradients.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { sobelEdges } from "../../models/losses/edges.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { assert, suite } from "../harness.ts";

const test = suite("edges");
test.before(async () => {
  await tf.setBackend("cpu");
});

const grey = (values: (y: number, x: number) => number): Tensor =>
  tf.tensor(
    Float32Array.from({ length: 6 * 7 * 3 }, (_, i) => values(Math.floor(i / 21), Math.floor(i / 3) % 7)),
    [1, 6, 7, 3],
  );

test("a ramp has an edge of eight times its slope everywhere, a plain picture none, a step one beside it", () => {
  const ramp = sobelEdges(grey((y, x) => 0.1 * x - 0.2 * y));
  assert.equal(ramp.shape, [1, 4, 5, 2]);
  const parts = [...ramp.dataSync()];
  assert.close(
    parts.filter((_, i) => i % 2 === 0),
    new Float32Array(20).fill(-0.8),
    1e-5,
  );
  assert.close(
    parts.filter((_, i) => i % 2 === 1),
    new Float32Array(20).fill(1.6),
    1e-5,
  );
  assert.close(sobelEdges(grey(() => 0.7)).dataSync(), new Float32Array(40), 1e-6);
  const step = sobelEdges(grey((_, x) => (x >= 3 ? 1 : 0))).dataSync();
  const across = [...step].filter((_, i) => i % 2 === 0).slice(0, 5);
  assert.close(across, [0, -4, -4, 0, 0], 1e-5);
});

test("they are the filters of the definition on the luminance, and their gradient is that of differences", () => {
  const pixels = normals({ seed: 1, stream: "edges", length: 2 * 5 * 4 * 3 });
  const luminance = (row: number, y: number, x: number): number => {
    const at = ((row * 5 + y) * 4 + x) * 3;
    return 0.299 * pixels[at]! + 0.587 * pixels[at + 1]! + 0.114 * pixels[at + 2]!;
  };
  const kernel = [
    [1, 0, -1],
    [2, 0, -2],
    [1, 0, -1],
  ];
  const expected: number[] = [];
  for (let row = 0; row < 2; row++) {
    for (let y = 0; y < 3; y++) {
      for (let x = 0; x < 2; x++) {
        let [across, down] = [0, 0];
        for (let j = 0; j < 3; j++) {
          for (let i = 0; i < 3; i++) {
            across += kernel[j]![i]! * luminance(row, y + j, x + i);
            down += kernel[i]![j]! * luminance(row, y + j, x + i);
          }
        }
        expected.push(across, down);
      }
    }
  }
  const shape = [2, 5, 4, 3];
  assert.close(sobelEdges(tf.tensor(pixels, shape)).dataSync(), expected, 1e-5);

  const length = (x: Tensor): Tensor => tf.sum(tf.square(sobelEdges(x)));
  const gradient = tf
    .grad(length as never)(tf.tensor(pixels, shape))
    .dataSync();
  const value = (at: number, by: number): number =>
    length(
      tf.tensor(
        pixels.map((v, i) => (i === at ? v + by : v)),
        shape,
      ),
    ).dataSync()[0]!;
  for (let at = 0; at < pixels.length; at += 11) assert.close((value(at, 0.1) - value(at, -0.1)) / 0.2, gradient[at]!, 5e-3);
});

test.run();
