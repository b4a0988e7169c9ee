/** theta_a + c (theta_b - theta_0) against whole numbers of any length, which round nowhere. */
import type { Weights } from "../../engine/weights.ts";
import { addTask, taskProblems } from "../../models/weights/task-vector.ts";
import { normals, uniforms } from "../../schemas/numbers/philox.ts";
import { assert, suite } from "../harness.ts";

const test = suite("task vectors");

/** A float64 as a whole number of 2^-1100ths. */
function exact(value: number): bigint {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, value);
  const high = bits.getUint32(0);
  const exponent = (high >>> 20) & 0x7ff;
  const fraction = (BigInt(high & 0xfffff) << 32n) | BigInt(bits.getUint32(4));
  const mantissa = exponent === 0 ? fraction : fraction | (1n << 52n);
  const size = mantissa << BigInt(Math.max(exponent, 1) - 1075 + 1100);
  return high >>> 31 ? -size : size;
}

/** a + c (b - m) as the float32 nearest to it. */
function reference(a: number, b: number, m: number, c: number): number {
  const sum = (exact(a) << 1100n) + exact(c) * (exact(b) - exact(m)); // of 2^-2200ths
  return Math.fround(Number(sum >> 1500n) / 2 ** 700); // no float32 has digits below
}

const weightsOf = (data: Float32Array): Weights => ({ kernel: { shape: [data.length], data } });
const sum = (base: Float32Array, add: Float32Array, minus: Float32Array, scale: number): number[] => [
  ...addTask({ base: weightsOf(base), add: weightsOf(add), minus: weightsOf(minus), scale }).kernel!.data,
];

/** Numbers of very different sizes. */
function numbers(stream: string): Float32Array {
  const length = 2000;
  const sizes = uniforms({ seed: 1, stream: `${stream}/size`, length });
  return normals({ seed: 1, stream, length }).map((value, i) => value * 10 ** (-20 * (sizes[i] as number)));
}

test("the sum is the exact one, rounded once", () => {
  const [a, b, m] = [numbers("a"), numbers("b"), numbers("m")];
  for (const c of [1, -1, 0, 0.7, -2.3, 1 / 3, 1e-9]) {
    const expected = Array.from(a, (value, i) => reference(value, b[i] as number, m[i] as number, c));
    assert.equal(sum(a, b, m, c), expected, String(c));
  }
  assert.equal(reference(1, 3, 1.5, 0.5), 1.75);
});

test("what changed nothing adds nothing, and a base that was the start becomes what was learned, to the bit", () => {
  const [a, b] = [numbers("a"), numbers("b")];
  for (const c of [1, 0.3, -7]) assert.equal(sum(a, b, b, c), [...a]);
  assert.equal(sum(a, b, a, 1), [...b]);
  assert.equal(sum(a, b, a, 0), [...a]);
});

test("what is kept stays the base's in any shape; other layouts are named", () => {
  const tensor = (...shape: number[]) => ({ shape, data: new Float32Array(shape.reduce((x, y) => x * y)).fill(shape[0] as number) });
  const base = { position: tensor(4, 2), kernel: tensor(3) };
  const small = { position: tensor(1, 2), kernel: tensor(3) };
  const keep = (name: string) => name === "position";
  assert.equal(taskProblems({ base, other: small }), ['"position" is [1, 2] instead of [4, 2]']);
  assert.equal(taskProblems({ base, other: small, keep }), []);
  const made = addTask({ base, add: small, minus: { ...small, kernel: { shape: [3], data: Float32Array.of(1, 1, 1) } }, scale: 2, keep });
  assert.is(made.position, base.position);
  assert.equal([...made.kernel!.data], [7, 7, 7]);
  assert.throws(() => addTask({ base, add: small, minus: base, scale: 1 }), /of another layout: "position" is/);
});

test.run();
