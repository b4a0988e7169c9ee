/** The types of elements in safetensors files, and how each becomes float32. */
import { fromBfloat16, fromHalf } from "../../schemas/numbers/half.ts";

export type Dtype = keyof typeof DTYPES;

/** For each type, by its safetensors name: bytes an element, and its decoder from little-endian bytes to float32. */
export const DTYPES = {
  F32: { bytes: 4, decode: (b: ArrayBuffer) => new Float32Array(b) },
  F16: { bytes: 2, decode: (b: ArrayBuffer) => fromHalf(new Uint16Array(b)) },
  BF16: { bytes: 2, decode: (b: ArrayBuffer) => fromBfloat16(new Uint16Array(b)) },
  F64: { bytes: 8, decode: (b: ArrayBuffer) => new Float32Array(new Float64Array(b)) },
  I64: { bytes: 8, decode: (b: ArrayBuffer) => exact(new BigInt64Array(b)) },
  I32: { bytes: 4, decode: (b: ArrayBuffer) => exact(new Int32Array(b)) },
  U8: { bytes: 1, decode: (b: ArrayBuffer) => new Float32Array(new Uint8Array(b)) },
  BOOL: { bytes: 1, decode: (b: ArrayBuffer) => new Float32Array(new Uint8Array(b)) },
};

export const isDtype = (name: unknown): name is Dtype => typeof name === "string" && Object.hasOwn(DTYPES, name);

/** Integers as float32; throws an Error that says "holds ..." where one has no float32 of its value. */
function exact(values: Int32Array | BigInt64Array): Float32Array {
  const out = new Float32Array(values.length);
  for (let i = 0; i < out.length; i++) {
    out[i] = Number(values[i]);
    if (BigInt(out[i] as number) !== BigInt(values[i] as number | bigint)) {
      throw new Error(`holds ${values[i]}, which float32 cannot represent`);
    }
  }
  return out;
}
