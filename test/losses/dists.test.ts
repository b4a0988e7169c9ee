/** DISTS against its equations written out in float64, what it must ignore and what it must not, and its gradient. */
import "../../engine/gradients.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { dists } from "../../models/losses/dists.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { assert, suite } from "../harness.ts";

const test = suite("DISTS");
test.before(async () => {
  await tf.setBackend("cpu");
});

const draw = (stream: string, shape: number[]): Tensor =>
  tf.tensor(
    normals({ seed: 8, stream, length: shape.reduce((a, b) => a * b, 1) }).map((v) => 0.5 + 0.3 * v),
    shape,
  );
const number = (x: Tensor): number => x.dataSync()[0]!;

/** Of one sample's maps, each [places][channels]. */
function reference(x: number[][][], y: number[][][], texture: number): number {
  let sum = 0;
  x.forEach((map, i) => {
    const channels = map[0]!.length;
    for (let c = 0; c < channels; c++) {
      const [p, q] = [map.map((place) => place[c]!), y[i]!.map((place) => place[c]!)];
      const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
      const [mx, my] = [mean(p), mean(q)];
      const sx = mean(p.map((v) => (v - mx) ** 2));
      const sy = mean(q.map((v) => (v - my) ** 2));
      const sxy = mean(p.map((v, k) => (v - mx) * (q[k]! - my)));
      const l = (2 * mx * my + 1e-6) / (mx * mx + my * my + 1e-6);
      const s = (2 * sxy + 1e-6) / (sx + sy + 1e-6);
      sum += (texture * l + (1 - texture) * s) / channels / x.length;
    }
  });
  return 1 - sum;
}

const places = (map: Tensor, row: number): number[][] => {
  const [, h, w, c] = map.shape as [number, number, number, number];
  const values = map.dataSync();
  return Array.from({ length: h * w }, (_, at) => Array.from({ length: c }, (_, k) => values[(row * h * w + at) * c + k]!));
};

test("it is the weighted sum of the equations over channels and maps", () => {
  const shapes = [
    [2, 4, 4, 3],
    [2, 3, 2, 5],
  ];
  const [a, b] = ["a", "b"].map((name) => shapes.map((shape, i) => draw(`${name}${i}`, shape))) as [Tensor[], Tensor[]];
  for (const texture of [0.5, 0, 0.8]) {
    const found = dists(a, b, { texture }).dataSync();
    for (const row of [0, 1]) {
      const [x, y] = [a, b].map((maps) => maps.map((map) => places(map, row))) as [number[][][], number[][][]];
      assert.close(found[row]!, reference(x, y, texture), 1e-5);
    }
  }
});

test("equal images are at distance 0, maps of zeros too; moved places change structure alone, shades texture alone", () => {
  const a = draw("a", [1, 4, 4, 2]);
  assert.close(number(dists([a], [a])), 0, 1e-6);
  assert.close(number(dists([tf.zerosLike(a)], [tf.zerosLike(a)])), 0, 1e-6);
  const moved = tf.reverse(a, 1);
  assert.close(number(dists([a], [moved], { texture: 1 })), 0, 1e-6);
  assert.ok(number(dists([a], [moved], { texture: 0 })) > 0.5);
  const lighter = tf.add(a, 0.4);
  assert.close(number(dists([a], [lighter], { texture: 0 })), 0, 1e-5);
  assert.ok(number(dists([a], [lighter], { texture: 1 })) > 0.05);
  const negative = tf.sub(tf.mul(tf.mean(a, [1, 2], true), 2), a);
  assert.close(number(dists([a], [negative], { texture: 0 })), 2, 1e-4);
});

test("its gradient is that of differences, and finite where a map is zero", () => {
  const shape = [1, 3, 3, 2];
  const [x, b] = [draw("x", shape), draw("y", shape)];
  const distance = (t: Tensor): Tensor => tf.sum(dists([t, tf.square(t)], [b, tf.square(b)]));
  const gradient = tf
    .grad(distance as never)(x as never)
    .dataSync();
  const values = x.dataSync();
  const value = (at: number, by: number): number =>
    number(
      distance(
        tf.tensor(
          values.map((v, i) => (i === at ? v + by : v)),
          shape,
        ),
      ),
    );
  for (let at = 0; at < values.length; at += 3) assert.close((value(at, 5e-3) - value(at, -5e-3)) / 1e-2, gradient[at]!, 3e-3);
  const atZero = tf
    .grad(distance as never)(tf.zerosLike(x) as never)
    .dataSync();
  assert.ok(atZero.every(Number.isFinite));
});

test.run();
