/** The types of elements in safetensors files, and how each becomes float32. */
import { fromBfloat16, fromHalf } from "../../schemas/numbers/half.ts";

export type Dtype = "F32" | "F16" | "BF16" | "F64" | "I64" | "I32" | "U8" | "BOOL";

interface Elements {
  /** Of one of them. */
  bytes: number;
  /** Little-endian bytes, at an address that is a multiple of `bytes`, as float32: into `wide`, where that is given. */
  decode: (bytes: Uint8Array<ArrayBuffer>, wide?: Float32Array<ArrayBuffer>) => Float32Array<ArrayBuffer>;
}

/** The types of elements by their safetensors names. */
export const DTYPES: Readonly<Record<Dtype, Elements>> = {
  F32: { bytes: 4, decode: (b, wide) => put(new Float32Array(b.buffer, b.byteOffset, b.length / 4), wide) },
  F16: { bytes: 2, decode: (b, wide) => fromHalf(halvesIn(b), wide) },
  BF16: { bytes: 2, decode: (b, wide) => fromBfloat16(halvesIn(b), wide) },
  F64: { bytes: 8, decode: (b, wide) => put(new Float64Array(b.buffer, b.byteOffset, b.length / 8), wide) },
  I64: { bytes: 8, decode: (b, wide) => put(exact(new BigInt64Array(b.buffer, b.byteOffset, b.length / 8)), wide) },
  I32: { bytes: 4, decode: (b, wide) => put(exact(new Int32Array(b.buffer, b.byteOffset, b.length / 4)), wide) },
  U8: { bytes: 1, decode: (b, wide) => put(b, wide) },
  BOOL: { bytes: 1, decode: (b, wide) => put(b, wide) },
};

/** Elements of two bytes, in the same memory. */
const halvesIn = (bytes: Uint8Array<ArrayBuffer>): Uint16Array => new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);

/** The values as float32, which they are already where they need not go anywhere. */
function put(values: Float32Array<ArrayBuffer> | Float64Array | Uint8Array, wide?: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  if (!wide) return values instanceof Float32Array ? values : Float32Array.from(values);
  wide.set(values);
  return wide;
}

/** Whether a file's header names a type of numbers that can be read. */
export const isDtype = (name: unknown): name is Dtype => typeof name === "string" && Object.hasOwn(DTYPES, name);

/** Integers as float32; throws an Error that says "holds ..." where one has no float32 of its value. */
function exact(values: Int32Array | BigInt64Array): Float32Array<ArrayBuffer> {
  const out = new Float32Array(values.length);
  for (let i = 0; i < out.length; i++) {
    out[i] = Number(values[i]);
    if (BigInt(out[i] as number) !== BigInt(values[i] as number | bigint)) {
      throw new Error(`holds ${values[i]}, which float32 cannot represent`);
    }
  }
  return out;
}
