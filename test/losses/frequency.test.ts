/** The transform by matrices against sums written out in float64, and a high-pass filter on waves that it must pass or stop. */
import "../../engine/gradients.ts";
import { createEngine } from "../../engine/engine.ts";
import { type Tensor, tf } from "../../engine/tfjs.ts";
import {
  decibels,
  energies,
  energyDifference,
  filtered,
  finestBandMask,
  highPassMask,
  type Mask,
  ringMasks,
} from "../../models/losses/frequency.ts";
import { runningBandEnergy } from "../../models/metrics/bands.ts";
import { integers, normals } from "../../schemas/numbers/philox.ts";
import { assert, suite } from "../harness.ts";

const test = suite("frequencies");
test.before(async () => {
  await tf.setBackend("cpu");
});

const image = (stream: string, shape: number[]): Float32Array => normals({ seed: 5, stream, length: shape.reduce((a, b) => a * b, 1) });

/** The filter of one plane [h, w] by the definition, in float64: every sum written out, no symmetry used. */
function naive(plane: ArrayLike<number>, h: number, w: number, passes: (u: number, v: number) => boolean): Float64Array {
  const result = new Float64Array(h * w);
  for (let v = 0; v < h; v++) {
    for (let u = 0; u < w; u++) {
      if (!passes(u <= w / 2 ? u : u - w, v <= h / 2 ? v : v - h)) continue;
      let [re, im] = [0, 0];
      for (let at = 0; at < h * w; at++) {
        const angle = -2 * Math.PI * ((u * (at % w)) / w + (v * Math.floor(at / w)) / h);
        re += plane[at]! * Math.cos(angle);
        im += plane[at]! * Math.sin(angle);
      }
      for (let at = 0; at < h * w; at++) {
        const angle = 2 * Math.PI * ((u * (at % w)) / w + (v * Math.floor(at / w)) / h);
        result[at]! += (re * Math.cos(angle) - im * Math.sin(angle)) / (h * w);
      }
    }
  }
  return result;
}

for (const [h, w, shape, cutoff] of [
  [6, 8, "disc", 0.25],
  [7, 5, "disc", 0.4],
  [8, 8, "box", 0.25],
  [5, 6, "box", 0],
] as const) {
  test(`${h}x${w}: a ${shape} of radius ${cutoff} stops what the sums of the definition stop`, () => {
    const pixels = image(`${h}${w}`, [2, h, w, 3]);
    const found = filtered(tf.tensor(pixels, [2, h, w, 3]), highPassMask({ height: h, width: w, cutoff, shape })).dataSync();
    const radius = cutoff * Math.min(h, w);
    const passes = (u: number, v: number): boolean =>
      shape === "disc" ? u * u + v * v > radius ** 2 : Math.abs(u) > radius || Math.abs(v) > radius;
    for (let row = 0; row < 2; row++) {
      for (let channel = 0; channel < 3; channel++) {
        const take = (values: ArrayLike<number>) =>
          Float64Array.from({ length: h * w }, (_, at) => values[(row * h * w + at) * 3 + channel]!);
        assert.close(take(found), naive(take(pixels), h, w, passes), 2e-5);
      }
    }
  });
}

test("a wave above the cut-off passes as it is and one below it vanishes; all that is stopped and all that passes make the image", () => {
  const [h, w] = [16, 12];
  const mask = highPassMask({ height: h, width: w, cutoff: 0.25, shape: "disc" }); // radius 3
  const wave = (u: number, v: number): Float32Array =>
    Float32Array.from({ length: h * w * 3 }, (_, i) => {
      const at = Math.floor(i / 3);
      return Math.sin((2 * Math.PI * (u * (at % w))) / w + (2 * Math.PI * v * Math.floor(at / w)) / h + 0.3);
    });
  for (const [u, v, isStopped] of [
    [3, 0, true],
    [2, 2, true],
    [0, 0, true],
    [4, 0, false],
    [0, -4, false],
    [3, 1, false],
    [6, 8, false],
  ] as const) {
    const passed = filtered(tf.tensor(wave(u, v), [1, h, w, 3]), mask).dataSync();
    assert.close(passed, isStopped ? new Float32Array(h * w * 3) : wave(u, v), 2e-6, `wave ${u}, ${v}`);
  }
  const pixels = tf.tensor(image("whole", [1, h, w, 3]), [1, h, w, 3]);
  const stopped = mask.map((value) => 1 - value);
  assert.close(tf.add(filtered(pixels, mask), filtered(pixels, stopped)).dataSync(), pixels.dataSync(), 1e-5);
});

test("energy by frequency is the mean square of what passes, and that of the measured bands", () => {
  const [h, w] = [14, 10];
  const bytes = Uint8Array.from(integers({ seed: 2, stream: "bytes", length: h * w * 3, below: 256 }));
  const bands = runningBandEnergy({ height: h, width: w });
  bands.add(bytes);
  const images = tf.tensor(
    Float32Array.from(bytes, (value) => value / 255),
    [1, h, w, 3],
  );
  const finest = finestBandMask({ height: h, width: w });
  const [energy] = energies(images, [finest]).dataSync();
  assert.close(energy! / bands.result().at(-1)!, 1, 1e-4);

  const grey = Float64Array.from(
    { length: h * w },
    (_, at) => (0.299 * bytes[3 * at]! + 0.587 * bytes[3 * at + 1]! + 0.114 * bytes[3 * at + 2]!) / 255,
  );
  const passed = naive(grey, h, w, (u, v) => Math.hypot(u / w, v / h) >= 5 / 12);
  assert.close(energy! / (passed.reduce((sum, value) => sum + value ** 2, 0) / passed.length), 1, 1e-4);
});

test("rings share out all that a disc lets through; halved waves lie 6 dB, and ln 4 in energy, below", () => {
  const size = { height: 12, width: 16 };
  const rings = ringMasks({ ...size, cutoff: 0.2, bands: 3 });
  const sum = Float32Array.from({ length: 192 }, (_, at) => rings.reduce((total, ring) => total + ring[at]!, 0));
  assert.equal([...sum], [...highPassMask({ ...size, cutoff: 0.2, shape: "disc" })]);

  const pixels = tf.tensor(image("halved", [3, 12, 16, 3]), [3, 12, 16, 3]);
  const [half, moved] = [tf.mul(pixels, 0.5), tf.reverse(pixels, 1)];
  const finest = finestBandMask(size);
  assert.close(decibels(half, pixels, finest).dataSync()[0]!, 10 * Math.log10(0.25), 1e-3);
  assert.close(energyDifference(half, pixels, rings).dataSync()[0]!, Math.log(4), 1e-3);
  assert.close(energyDifference(moved, pixels, rings).dataSync()[0]!, 0, 1e-4);
});

test("its gradient is that of differences, compiled as run eagerly", async () => {
  const shape = [1, 6, 5, 2];
  const mask: Mask = highPassMask({ height: 6, width: 5, cutoff: 0.2, shape: "disc" });
  const weights = tf.tensor(image("weights", shape), shape);
  const energy = (x: Tensor): Tensor => tf.sum(tf.mul(tf.square(filtered(x, mask)), weights));
  const x = image("x", shape);
  const gradient = tf
    .grad(energy as never)(tf.tensor(x, shape))
    .dataSync();
  const value = (at: number, by: number): number =>
    energy(
      tf.tensor(
        x.map((v, i) => (i === at ? v + by : v)),
        shape,
      ),
    ).dataSync()[0]!;
  for (let at = 0; at < x.length; at += 7) assert.close((value(at, 0.05) - value(at, -0.05)) / 0.1, gradient[at]!, 2e-3);

  const engine = await createEngine({ device: "cpu", threads: 1 });
  try {
    const program = await engine.compile({
      name: "filter",
      sets: {},
      inputs: { x: { shape } },
      run: (_, { x: given }) => ({
        outputs: {
          gradient: tf.grad(((t: Tensor) =>
            tf.sum(tf.mul(tf.square(filtered(t, mask)), tf.tensor(image("weights", shape), shape)))) as never)(given as never),
        },
      }),
    });
    assert.close((await program.run({ x })).gradient!, gradient, 1e-5);
  } finally {
    await engine.dispose();
  }
});

test.run();
