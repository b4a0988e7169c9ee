/**
 * The safetensors format (huggingface/safetensors): a little-endian u64 header length, a JSON header naming dtype,
 * shape and byte range of each tensor, then the bytes. Everything is read as float32.
 */
import { readFile } from "node:fs/promises";
import { fromBfloat16, fromHalf, toHalf } from "../../schemas/numbers/half.ts";
import type { Weights } from "../../engine/weights.ts";

export type Dtype = keyof typeof decoders;

export interface Safetensors {
  tensors: Record<string, { shape: number[]; dtype: Dtype; data: Float32Array }>;
  metadata: Record<string, string>;
}

/** Decoders from the stored bytes, aligned and little-endian, to float32. */
const decoders = {
  F32: { bytes: 4, decode: (b: ArrayBuffer) => new Float32Array(b) },
  F16: { bytes: 2, decode: (b: ArrayBuffer) => fromHalf(new Uint16Array(b)) },
  BF16: { bytes: 2, decode: (b: ArrayBuffer) => fromBfloat16(new Uint16Array(b)) },
  F64: { bytes: 8, decode: (b: ArrayBuffer) => new Float32Array(new Float64Array(b)) },
  I64: { bytes: 8, decode: (b: ArrayBuffer) => exact(new BigInt64Array(b)) },
  I32: { bytes: 4, decode: (b: ArrayBuffer) => exact(new Int32Array(b)) },
  U8: { bytes: 1, decode: (b: ArrayBuffer) => new Float32Array(new Uint8Array(b)) },
  BOOL: { bytes: 1, decode: (b: ArrayBuffer) => new Float32Array(new Uint8Array(b)) },
};

/** Reads a safetensors file; throws an Error naming the file when it is torn or malformed. */
export async function readSafetensors(path: string): Promise<Safetensors> {
  return decodeSafetensors(await readFile(path), path);
}

/**
 * Decodes safetensors bytes; F16, BF16 and F64 become float32 (F64 is rounded), integers must be exact in float32.
 * Throws an Error naming `place` when the bytes are torn or malformed: header past the end, ranges that overlap, leave
 * gaps or do not match the shape, unknown dtype.
 */
export function decodeSafetensors(bytes: Uint8Array, place = "memory"): Safetensors {
  const refuse = (reason: string) => new Error(`Cannot read safetensors ${place}: ${reason}`);
  if (bytes.length < 8) throw refuse(`${bytes.length} bytes are too few for a header`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = Number(view.getBigUint64(0, true));
  const start = 8 + headerLength;
  if (start > bytes.length) throw refuse(`its header needs ${headerLength} bytes but the file ends after ${bytes.length}`);

  const { __metadata__, ...entries } = parseHeader(bytes.subarray(8, start), refuse);
  const tensors: Safetensors["tensors"] = {};
  let covered = 0;
  for (const [name, entry] of Object.entries(entries).sort(byBegin)) {
    const { dtype, shape, data_offsets: range } = (entry ?? {}) as Entry;
    const decoder = Object.hasOwn(decoders, dtype) ? decoders[dtype] : undefined;
    if (!decoder) throw refuse(`tensor "${name}" has dtype ${dtype}, expected one of ${Object.keys(decoders).join(", ")}`);
    const wellFormed = Array.isArray(shape) && shape.every((side) => Number.isSafeInteger(side) && side >= 0);
    if (!wellFormed || !Array.isArray(range)) throw refuse(`tensor "${name}" has no valid shape or data_offsets`);
    const [begin, end] = range;
    const size = shape.reduce((product, side) => product * side, decoder.bytes);
    if (begin !== covered || end - begin !== size) {
      throw refuse(`tensor "${name}" of shape [${shape.join(", ")}] has bytes ${begin}-${end}, expected ${size} from ${covered}`);
    }
    if (start + end > bytes.length) throw refuse(`tensor "${name}" is cut off: the file ends after ${bytes.length} bytes`);
    covered = end;
    const copy = new Uint8Array(size); // aligned, and independent of the file's buffer
    copy.set(bytes.subarray(start + begin, start + end));
    try {
      tensors[name] = { shape, dtype, data: decoder.decode(copy.buffer) };
    } catch (error) {
      throw refuse(`tensor "${name}" ${(error as Error).message}`);
    }
  }
  if (start + covered !== bytes.length) throw refuse(`${bytes.length - start - covered} bytes follow the last tensor`);
  return { tensors, metadata: (__metadata__ as Record<string, string> | undefined) ?? {} };
}

/**
 * Encodes weights as safetensors, tensors in name order, so equal weights give equal bytes. F16 rounds to nearest.
 * Throws when a tensor's data and shape disagree.
 */
export function encodeSafetensors(options: { tensors: Weights; metadata?: Record<string, string>; dtype?: "F32" | "F16" }): Uint8Array {
  const { tensors, metadata = {}, dtype = "F32" } = options;
  const names = Object.keys(tensors).sort();
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) header.__metadata__ = metadata;
  let end = 0;
  for (const name of names) {
    const { shape, data } = tensors[name] as Weights[string];
    if (data.length !== shape.reduce((product, side) => product * side, 1)) {
      throw new Error(`Cannot encode tensor "${name}": ${data.length} values do not fill shape [${shape.join(", ")}]`);
    }
    const begin = end;
    end += data.length * decoders[dtype].bytes;
    header[name] = { dtype, shape, data_offsets: [begin, end] };
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const headerLength = Math.ceil(json.length / 8) * 8; // the data starts aligned
  const out = new Uint8Array(8 + headerLength + end).fill(0x20, 8 + json.length, 8 + headerLength);
  new DataView(out.buffer).setBigUint64(0, BigInt(headerLength), true);
  out.set(json, 8);
  let at = 8 + headerLength;
  for (const name of names) {
    const { data } = tensors[name] as Weights[string];
    const stored = dtype === "F16" ? toHalf(data) : data;
    out.set(new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength), at);
    at += stored.byteLength;
  }
  return out;
}

interface Entry {
  dtype: Dtype;
  shape: number[];
  data_offsets: [number, number];
}

function parseHeader(bytes: Uint8Array, refuse: (reason: string) => Error): Record<string, unknown> {
  try {
    const header: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (header !== null && typeof header === "object" && !Array.isArray(header)) return header as Record<string, unknown>;
  } catch {
    // Reported below, like a header of another type.
  }
  throw refuse("its header is not a JSON object");
}

/** By first byte; an empty tensor shares its first byte with the next one and goes before it. */
function byBegin([, a]: [string, unknown], [, b]: [string, unknown]): number {
  const [first, second] = [(a as Entry | null)?.data_offsets, (b as Entry | null)?.data_offsets];
  return (first?.[0] ?? 0) - (second?.[0] ?? 0) || (first?.[1] ?? 0) - (second?.[1] ?? 0);
}

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
