/** Convolutions that are compiled to Winograd's algorithm, against the same convolutions summed in float64. */
import { createEngine } from "../../engine/engine.ts";
import { integers, normals } from "../../schemas/numbers/philox.ts";
import { tf, type Tensor, type Tensor4D } from "../../engine/tfjs.ts";
import { assert, suite } from "../harness.ts";

const test = suite("winograd");

interface Shape {
  batch: number;
  height: number;
  width: number;
  inputs: number;
  outputs: number;
  pad: "same" | "valid" | number;
}

/** y [b, oh, ow, out] of x [b, h, w, in] and k [3, 3, in, out] with `before` zeros around: plain sums. */
function direct(
  x: Float32Array,
  k: Float32Array,
  s: Shape,
  before: number,
): { y: Float64Array; dx: (dy: Float32Array) => Float64Array; dk: (dy: Float32Array) => Float64Array } {
  const [oh, ow] = [s.height + 2 * before - 2, s.width + 2 * before - 2];
  const visit = (f: (xi: number, ki: number, yi: number) => void): void => {
    for (let b = 0; b < s.batch; b++)
      for (let oy = 0; oy < oh; oy++)
        for (let ox = 0; ox < ow; ox++)
          for (let ky = 0; ky < 3; ky++)
            for (let kx = 0; kx < 3; kx++) {
              const [iy, ix] = [oy + ky - before, ox + kx - before];
              if (iy < 0 || ix < 0 || iy >= s.height || ix >= s.width) continue;
              const pixel = ((b * s.height + iy) * s.width + ix) * s.inputs;
              const output = ((b * oh + oy) * ow + ox) * s.outputs;
              for (let i = 0; i < s.inputs; i++)
                for (let o = 0; o < s.outputs; o++) f(pixel + i, ((ky * 3 + kx) * s.inputs + i) * s.outputs + o, output + o);
            }
  };
  const sum = (length: number, f: (into: Float64Array) => (xi: number, ki: number, yi: number) => void): Float64Array => {
    const into = new Float64Array(length);
    visit(f(into));
    return into;
  };
  return {
    y: sum(s.batch * oh * ow * s.outputs, (into) => (xi, ki, yi) => void (into[yi]! += x[xi]! * k[ki]!)),
    dx: (dy) => sum(x.length, (into) => (xi, ki, yi) => void (into[xi]! += dy[yi]! * k[ki]!)),
    dk: (dy) => sum(k.length, (into) => (xi, ki, yi) => void (into[ki]! += dy[yi]! * x[xi]!)),
  };
}

const worst = (actual: ArrayLike<number>, expected: Float64Array): number => {
  const scale = Math.max(...expected.map(Math.abs));
  return expected.reduce((found, value, i) => Math.max(found, Math.abs(value - actual[i]!)), 0) / scale;
};

const drawn = (name: string, lowest: number, span: number, count: number): number[] =>
  Array.from(integers({ seed: 3, stream: name, length: count, below: span }), (n) => n + lowest);
const shapes: Shape[] = [
  { batch: 2, height: 8, width: 8, inputs: 64, outputs: 32, pad: "same" },
  { batch: 1, height: 16, width: 4, inputs: 32, outputs: 48, pad: "same" },
  { batch: 3, height: 10, width: 9, inputs: 33, outputs: 32, pad: "valid" },
  { batch: 1, height: 10, width: 11, inputs: 32, outputs: 35, pad: 2 },
  ...Array.from({ length: 4 }, (_, n): Shape => {
    const [height, width] = drawn(`size ${n}`, 7, 14, 2) as [number, number];
    const [inputs, outputs] = drawn(`channels ${n}`, 32, 20, 2) as [number, number];
    return { batch: 1 + (n % 2), height, width, inputs, outputs, pad: ([0, 1, 2, "same"] as const)[n] as never };
  }),
];

for (const shape of shapes) {
  test(JSON.stringify(shape), async () => {
    const { batch, height, width, inputs, outputs, pad } = shape;
    const before = pad === "same" ? 1 : pad === "valid" ? 0 : pad;
    const y = [batch, height + 2 * before - 2, width + 2 * before - 2, outputs];
    const given = { x: [batch, height, width, inputs], k: [3, 3, inputs, outputs], dy: y };
    const feeds = Object.fromEntries(
      Object.entries(given).map(([name, dims]) => [name, normals({ seed: 1, stream: name, length: dims.reduce((a, b) => a * b, 1) })]),
    ) as Record<keyof typeof given, Float32Array>;
    const engine = await createEngine({ device: "cpu", threads: 1 });
    const program = await engine.compile({
      name: "convolution",
      sets: {},
      inputs: Object.fromEntries(Object.entries(given).map(([name, dims]) => [name, { shape: dims }])),
      run: (_, t) => {
        const convolve = (x: Tensor, k: Tensor): Tensor => tf.conv2d(x as Tensor4D, k as Tensor4D, 1, pad);
        const [dx, dk] = tf.grads(convolve)([t.x as Tensor, t.k as Tensor], t.dy as Tensor) as [Tensor, Tensor];
        return { outputs: { y: convolve(t.x as Tensor, t.k as Tensor), dx, dk } };
      },
    });
    const found = await program.run(feeds);
    const exact = direct(feeds.x, feeds.k, shape, before);
    for (const [name, expected] of Object.entries({ y: exact.y, dx: exact.dx(feeds.dy), dk: exact.dk(feeds.dy) })) {
      const error = worst(found[name]!, expected);
      if (process.env.VERBOSE) console.log(name, error);
      assert.ok(error < 1e-5, `${name} is off by ${error}`);
    }
    await engine.dispose();
  });
}

test.run();
