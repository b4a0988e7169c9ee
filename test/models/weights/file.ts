/** Safetensors files made by hand from the format's definition, not by the encoder under test. */

/** The bytes of a file with this header, as JSON or as an object, and these bytes of tensors. */
export function file(header: unknown, data: Uint8Array): Uint8Array {
  const json = typeof header === "string" ? header : JSON.stringify(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(json)));
  return Buffer.concat([length, Buffer.from(json), data]);
}

const good = file({ x: { dtype: "F32", shape: [2, 2], data_offsets: [0, 16] } }, new Uint8Array(16));
const x = (entry: object) => file({ x: { dtype: "F32", shape: [1], data_offsets: [0, 4], ...entry } }, new Uint8Array(4));

/** Damaged files, and what an error must say of each. */
export const damaged: [Uint8Array, RegExp][] = [
  [new Uint8Array(3), /weights\.safetensors: 3 bytes are too few/],
  [good.subarray(0, 20), /header needs \d+ bytes/],
  [Buffer.concat([Buffer.from("ffffffffffffffff", "hex"), good.subarray(8)]), /header needs 18446744073709552000 bytes/],
  [good.subarray(0, good.length - 1), /"x" is cut off/],
  [Buffer.concat([good, new Uint8Array(1)]), /1 bytes follow/],
  [file("{nonsense", new Uint8Array(0)), /not a JSON object/],
  [file("[]", new Uint8Array(0)), /not a JSON object/],
  [file({ x: null }, new Uint8Array(0)), /"x" has dtype undefined/],
  [x({ dtype: "Q4" }), /"x" has dtype Q4, expected one of F32/],
  [x({ dtype: "toString" }), /"x" has dtype toString/],
  [x({ shape: [-1] }), /no valid shape/],
  [x({ shape: [2] }), /has bytes 0-4, expected 8 from 0/],
  [x({ data_offsets: [1, 5] }), /has bytes 1-5, expected 4 from 0/],
];

/** A file whose header is sound and whose element has no float32 of its value. */
export const inexact = file({ x: { dtype: "I32", shape: [1], data_offsets: [0, 4] } }, Buffer.from("01000001", "hex"));
