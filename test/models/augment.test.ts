import { normals } from "../../schemas/numbers/philox.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { AUGMENTATIONS, augment, augmentationDraws, DRAW_SIZE, draw } from "../../models/losses/augment.ts";
import { assert, suite } from "../harness.ts";

const test = suite("augment");
test.before(async () => {
  await tf.setBackend("cpu");
});

const ALL = "bgrco";
const random = (stream: string, shape: number[]): Tensor =>
  tf.tensor(normals({ seed: 1, stream, length: shape.reduce((a, b) => a * b, 1) }), shape);
const drawn = (...rows: number[][]): Tensor => tf.tensor2d(rows, [rows.length, DRAW_SIZE]);
const image = (rows: number[][]): Tensor => tf.tensor(rows.flat(), [1, rows.length, rows[0]!.length, 1]);
const values = (x: Tensor): number[] => [...x.dataSync()];

test("the identity draw changes nothing", () => {
  for (const [h, w] of [
    [6, 6],
    [4, 7],
  ] as const) {
    const x = random("x", [2, h, w, 3]);
    assert.close(values(augment(x, drawn(draw(), draw()), ALL)), values(x), 1e-6);
  }
});

test("flips, turns and whole translations equal arrays worked out by hand", () => {
  const x = image([
    [1, 2, 3],
    [4, 5, 6],
    [7, 8, 9],
  ]);
  const transformed = (fields: Parameters<typeof draw>[0]) => values(augment(x, drawn(draw(fields)), "b"));
  assert.close(transformed({ scaleX: -1 }), [3, 2, 1, 6, 5, 4, 9, 8, 7], 1e-5);
  assert.close(transformed({ transpose: 1 }), [1, 4, 7, 2, 5, 8, 3, 6, 9], 1e-5);
  assert.close(transformed({ transpose: 1, scaleX: -1 }), [7, 4, 1, 8, 5, 2, 9, 6, 3], 1e-5); // a quarter turn
  // The pixel one to the right; past the edge its reflection.
  assert.close(transformed({ shiftX: 1 / 3 }), [2, 3, 3, 5, 6, 6, 8, 9, 9], 1e-5);
  assert.close(transformed({ shiftY: -2 / 3 }), [4, 5, 6, 1, 2, 3, 1, 2, 3], 1e-5);
});

test("cutout and colour equal arrays worked out by hand", () => {
  const x = image([
    [1, 1, 1, 1],
    [1, 1, 1, 1],
    [1, 1, 1, 1],
    [1, 1, 1, 1],
  ]);
  const cut = values(augment(x, drawn(draw({ cutX: 0.5, cutY: 0.25, cutHalf: 0.25 })), "o"));
  assert.equal(cut, [1, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1]);

  const pixels = tf.tensor([0, 2, 4, 6], [1, 1, 2, 2]); // channel means 1 and 5, mean of all 3
  const coloured = (fields: Parameters<typeof draw>[0]) => values(augment(pixels, drawn(draw(fields)), "c"));
  assert.close(coloured({ brightness: 0.5 }), [0.5, 2.5, 4.5, 6.5], 1e-6);
  assert.close(coloured({ saturation: 0 }), [1, 1, 5, 5], 1e-6);
  assert.close(coloured({ contrast: 2 }), [-3, 1, 5, 9], 1e-6);
});

test("scale and fraction of a pixel map a ramp to the ramp they should", () => {
  const n = 16;
  const ramp = image(Array.from({ length: n }, (_, y) => Array.from({ length: n }, (_, x) => 3 * x - y)));
  const [scaleX, scaleY, shiftX, shiftY] = [0.8, 1.25, 0.3 / n, -0.7 / n];
  const out = values(augment(ramp, drawn(draw({ scaleX, scaleY, shiftX, shiftY })), "g"));
  for (let y = 4; y < 12; y++) {
    for (let x = 4; x < 12; x++) {
      const source = 3 * (7.5 + scaleX * (x - 7.5) + 0.3) - (7.5 + scaleY * (y - 7.5) - 0.7);
      assert.close(out[y * n + x]!, source, 2e-2); // the widened kernel of scaleY is normalised, not exact
    }
  }
});

test("three shears turn a ramp by the angle", () => {
  const [n, angle] = [16, 0.5];
  const ramp = image(Array.from({ length: n }, (_, y) => Array.from({ length: n }, (_, x) => 2 * (x - 7.5) + (y - 7.5))));
  const shears = { shearX: Math.tan(angle / 2), shearY: Math.sin(angle) };
  const out = values(augment(ramp, drawn(draw(shears)), "r"));
  for (let y = 6; y < 10; y++) {
    for (let x = 6; x < 10; x++) {
      const [u, v] = [x - 7.5, y - 7.5];
      const source = 2 * (Math.cos(angle) * u + Math.sin(angle) * v) + (Math.cos(angle) * v - Math.sin(angle) * u);
      assert.close(out[y * n + x]!, source, 1e-4);
    }
  }
});

test("the gradient of every group equals differences", () => {
  const shape = [2, 6, 6, 2];
  const [x, weights] = [random("x", shape), random("weights", shape)];
  for (const groups of ["b", "g", "r", "c", "o", ALL]) {
    const draws = tf.tensor2d(augmentationDraws({ seed: 5, step: 3, batch: 2, height: 6, width: 6, groups }), [2, DRAW_SIZE]);
    const objective = (latents: Tensor): Tensor => tf.sum(tf.mul(augment(latents, draws, groups), weights));
    const gradient = tf
      .grad(objective as never)(x as never)
      .dataSync();
    for (let i = 0; i < x.size; i += 7) {
      const bump = tf.tensor(
        Float32Array.from({ length: x.size }, (_, j) => (i === j ? 1 : 0)),
        shape,
      );
      // The transforms are linear in the latent, so that a difference over a whole unit is exact.
      const difference = tf.sub(objective(tf.add(x, bump)), objective(tf.sub(x, bump))).dataSync()[0]! / 2;
      assert.close(gradient[i]!, difference, 1e-4, `group ${groups}, element ${i}`);
    }
  }
});

test("draws are a function of seed and step, and the same draw is the same transform", () => {
  const options = { seed: 7, batch: 4, height: 8, width: 8, groups: ALL };
  const first = augmentationDraws({ ...options, step: 2 });
  assert.equal(first, augmentationDraws({ ...options, step: 2 }));
  assert.ok(first.some((value, i) => value !== augmentationDraws({ ...options, step: 3 })[i]));
  // Samples continue one sequence: rows 4..8 of step 0 at twice the batch are step 1 of this batch.
  const wide = augmentationDraws({ ...options, step: 0, batch: 8 });
  assert.equal(wide.slice(4 * DRAW_SIZE), augmentationDraws({ ...options, step: 1 }));

  const row = [...first.slice(0, DRAW_SIZE)];
  const one = random("x", [1, 8, 8, 4]);
  const pair = values(augment(tf.concat([one, one]), drawn(row, row), ALL));
  assert.equal(pair.slice(0, 256), pair.slice(256));
});

test("the draws have the distributions they claim", () => {
  const [batch, height] = [4000, 16];
  const draws = augmentationDraws({ seed: 0, step: 0, batch, height, width: height, groups: AUGMENTATIONS });
  const column = (i: number) => Array.from({ length: batch }, (_, row) => draws[row * DRAW_SIZE + i]!);
  const mean = (x: number[]) => x.reduce((a, b) => a + b, 0) / x.length;
  assert.close(mean(column(0)), 0.5, 0.03); // transposed
  assert.close(mean(column(1).map(Math.sign)), 0, 0.05); // mirrored
  assert.close(mean(column(1).map((v) => (Math.abs(v) === 1 ? 0 : 1))), 0.5, 0.03); // g fires for half
  const logs = column(1).map((v) => Math.log2(Math.abs(v)) ** 2);
  assert.close(mean(logs), 0.5 * (0.2 ** 2 + 0.2 ** 2), 4e-3);
  const scales = column(1);
  const whole = column(2).filter((_, row) => Math.abs(scales[row]!) === 1);
  assert.ok(whole.every((v) => Number.isInteger(v * height) && Math.abs(v) <= 1 / 8));
  assert.equal(new Set(column(9)), new Set([0, 0.25]));
  assert.equal([new Set(column(5)), new Set(column(11))], [new Set([0]), new Set([1])]); // groups left out
});

test.run();
