import { existsSync, readdirSync } from "node:fs";
import { decodeSafetensors, encodeSafetensors, readSafetensors } from "../../models/weights/safetensors.ts";
import { fromBfloat16, fromHalf, toHalf } from "../../schemas/numbers/half.ts";
import { checkLayout, countWeights, hashWeights } from "../../engine/weights.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { assert, suite } from "../harness.ts";

const test = suite("safetensors");
const vae = "../shared/data/vae";

/** A file made by hand from the format's definition, not by our encoder. */
function file(header: unknown, data: Uint8Array): Uint8Array {
  const json = typeof header === "string" ? header : JSON.stringify(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(json)));
  return Buffer.concat([length, Buffer.from(json), data]);
}

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
  const good = encodeSafetensors({ tensors: { x: { shape: [2, 2], data: new Float32Array(4) } } });
  const x = (entry: object) => file({ x: { dtype: "F32", shape: [1], data_offsets: [0, 4], ...entry } }, new Uint8Array(4));
  const bad: [Uint8Array, RegExp][] = [
    [new Uint8Array(3), /weights\.safetensors: 3 bytes are too few/],
    [good.subarray(0, 20), /header needs \d+ bytes/],
    [good.subarray(0, good.length - 1), /"x" is cut off/],
    [Buffer.concat([good, new Uint8Array(1)]), /1 bytes follow/],
    [file("{nonsense", new Uint8Array(0)), /not a JSON object/],
    [file("[]", new Uint8Array(0)), /not a JSON object/],
    [file({ x: null }, new Uint8Array(0)), /"x" has dtype undefined/],
    [x({ dtype: "Q4" }), /"x" has dtype Q4, expected one of F32/],
    [x({ shape: [-1] }), /no valid shape/],
    [x({ shape: [2] }), /has bytes 0-4, expected 8 from 0/],
    [x({ data_offsets: [1, 5] }), /has bytes 1-5, expected 4 from 0/],
    [file({ x: { dtype: "I32", shape: [1], data_offsets: [0, 4] } }, Buffer.from("01000001", "hex")), /16777217/],
  ];
  for (const [bytes, message] of bad) assert.throws(() => decodeSafetensors(bytes, "weights.safetensors"), message);
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
  checkLayout(expected, { a: tensor(0, 2), b: tensor(0) }, "here");
  const message = /from runs\/t do not fit the network: "a" is \[2, 0\] instead of \[0, 2\], "b" is missing, "c" is unknown/;
  assert.throws(() => checkLayout(expected, { a: tensor(2, 0), c: tensor(0) }, "runs/t"), message);
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
