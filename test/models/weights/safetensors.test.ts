import { existsSync, readdirSync } from "node:fs";
import { decodeSafetensors, encodeSafetensors, readSafetensors } from "../../../models/weights/safetensors.ts";
import { fromBfloat16, fromHalf, toHalf } from "../../../schemas/numbers/half.ts";
import { countWeights, hashWeights, layoutDifferences } from "../../../engine/weights.ts";
import { normals } from "../../../schemas/numbers/philox.ts";
import { assert, suite } from "../../harness.ts";
import { damaged, file, inexact } from "./file.ts";

const test = suite("safetensors");
const vae = "../shared/data/vae";

test("reads every dtype from hand-made bytes", () => {
  const stored: [string, Uint8Array][] = [
    ["F32", Buffer.from("0000803f000000c0", "hex")],
    ["F16", Buffer.from("003c00c0", "hex")],
    ["BF16", Buffer.from("803f00c0", "hex")],
    ["F64", Buffer.from("000000000000f03f00000000000000c0", "hex")],
    ["I32", Buffer.from("01000000feffffff", "hex")],
    ["I64", Buffer.from("0100000000000000feffffffffffffff", "hex")],
  ];
  for (const [dtype, bytes] of stored) {
    const header = { x: { dtype, shape: [2, 1], data_offsets: [0, bytes.length] } };
    assert.equal(decodeSafetensors(file(header, bytes)).tensors.x, {
      shape: [2, 1],
      dtype,
      data: new Float32Array([1, -2]),
    });
  }
});

test("what is encoded comes back bit by bit, and equal weights give equal bytes", () => {
  const tensors = {
    "b.kernel": { shape: [3, 5], data: normals({ seed: 1, stream: "b", length: 15 }) },
    "a.scale": { shape: [], data: new Float32Array([Math.PI]) },
    "c.empty": { shape: [0, 4], data: new Float32Array(0) },
  };
  const bytes = encodeSafetensors({ tensors, metadata: { step: "7" } });
  const { tensors: back, metadata } = decodeSafetensors(bytes);
  assert.equal(metadata, { step: "7" });
  for (const [name, { shape, data }] of Object.entries(tensors)) assert.equal(back[name], { shape, dtype: "F32", data });
  const reordered = Object.fromEntries(Object.entries(tensors).reverse());
  assert.equal(encodeSafetensors({ tensors: reordered, metadata: { step: "7" } }), bytes);
  assert.is(hashWeights(reordered), hashWeights(tensors));
  assert.is(countWeights(tensors), 16);
});

test("names what is wrong with a damaged file", () => {
  for (const [bytes, message] of [...damaged, [inexact, /"x" holds 16777217/] as const]) {
    assert.throws(() => decodeSafetensors(bytes, "weights.safetensors"), message);
  }
  const tensors = { x: { shape: [3], data: new Float32Array(4) } };
  assert.throws(() => encodeSafetensors({ tensors }), /"x": 4 values do not fill shape \[3\]/);
});

test("all 65536 halves widen to their value and round back to themselves", () => {
  const halves = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const wide = fromHalf(halves);
  for (let half = 0; half < 65536; half++) {
    const [sign, exponent, fraction] = [half & 0x8000 ? -1 : 1, (half >> 10) & 31, half & 1023];
    const value = exponent === 0 ? (fraction / 1024) * 2 ** -14 : (1 + fraction / 1024) * 2 ** (exponent - 15);
    const special = fraction ? NaN : sign * Infinity;
    assert.is(Object.is(wide[half], exponent === 31 ? special : sign * value), true, `half ${half}`);
  }
  const finite = halves.filter((half) => (half & 0x7c00) !== 0x7c00 || (half & 1023) === 0);
  assert.equal(toHalf(fromHalf(finite)), finite);
});

test("rounding to half takes the nearest, ties to even", () => {
  const halves = fromHalf(Uint16Array.from({ length: 0x7c00 }, (_, i) => i));
  const between = Float32Array.from(halves.subarray(1), (upper, i) => ((halves[i] as number) + upper) / 2);
  const ties = toHalf(between);
  for (let i = 0; i < ties.length; i++) assert.is(ties[i], i + (i & 1), `tie above half ${i}`);
  for (const factor of [1 - 2 ** -20, 1 + 2 ** -20]) {
    const off = toHalf(between.map((value) => value * factor));
    for (let i = 0; i < off.length; i++) assert.is(off[i], factor < 1 ? i : i + 1);
  }
  assert.equal([...toHalf(new Float32Array([65519.99, 65520, -1e9, Infinity]))], [0x7bff, 0x7c00, 0xfc00, 0x7c00]);
  assert.ok(Number.isNaN(fromHalf(toHalf(new Float32Array([NaN])))[0]));
  assert.equal(fromBfloat16(new Uint16Array([0x4049, 0xff80])), new Float32Array([3.140625, -Infinity]));
});

test("a layout that does not fit says where", () => {
  const tensor = (...shape: number[]) => ({ shape, data: new Float32Array(0) });
  const expected = { a: tensor(0, 2), b: tensor(0) };
  assert.equal(layoutDifferences(expected, { a: tensor(0, 2), b: tensor(0) }), []);
  const inherited = { ...expected, toString: tensor(0) }; // a name that every object has
  assert.equal(layoutDifferences(expected, inherited), ['"toString" is unknown']);
  assert.equal(layoutDifferences(inherited, expected), ['"toString" is missing']);
  assert.equal(layoutDifferences(expected, { a: tensor(2, 0), c: tensor(0) }), [
    '"a" is [2, 0] instead of [0, 2]',
    '"b" is missing',
    '"c" is unknown',
  ]);
});

if (existsSync(vae)) {
  test("reads real autoencoder weights", async () => {
    for (const name of readdirSync(vae).filter((file) => file.endsWith(".safetensors"))) {
      const { tensors } = await readSafetensors(`${vae}/${name}`);
      assert.ok(Object.keys(tensors).length > 0);
      for (const { shape, data } of Object.values(tensors)) {
        assert.is(
          data.length,
          shape.reduce((a, b) => a * b, 1),
        );
        assert.ok(data.every((value) => Math.abs(value) < 1e3));
      }
    }
  });
} else {
  test.skip("reads real autoencoder weights", `${vae} is absent`);
}

test.run();
