/** Safetensors files whole: everything read as float32, or encoded from it. Files too large for that: open.ts, pieces.ts. */
import { createHash } from "node:crypto";
import type { Weights } from "../../engine/weights.ts";
import { DTYPES, type Dtype } from "./dtypes.ts";
import { headerLength, parseHeader, PREFIX } from "./header.ts";
import { type OpenSafetensors, openSafetensors } from "./open.ts";
import { layOut, sourcesOf } from "./pieces.ts";
import { readAhead } from "./read-ahead.ts";
import type { StoredTensor } from "./stored.ts";

export interface Safetensors {
  tensors: Record<string, { shape: number[]; dtype: Dtype; data: Float32Array }>;
  metadata: Record<string, string>;
}

/**
 * Reads a safetensors file, or a checkpoint in several files by its index; F16, BF16 and F64 become float32 (F64 is
 * rounded), integers must be exact in float32. With `hash` it answers the file's sha256 (hex) too, taken while reading.
 * Throws an Error that names the file when it is torn or malformed.
 */
export async function readSafetensors(path: string): Promise<Safetensors>;
export async function readSafetensors(path: string, options: { hash: true }): Promise<Safetensors & { sha256: string }>;
export async function readSafetensors(path: string, options: { hash?: true } = {}): Promise<Safetensors & { sha256?: string }> {
  const hash = options.hash && createHash("sha256");
  const read = await readOpened(await openSafetensors(path), hash && ((piece) => hash.update(piece)));
  return { ...read, ...(hash && { sha256: hash.digest("hex") }) };
}

/** The same of a file that is open; `onBytes` sees all its bytes, from the first to the last. */
export async function readOpened(opened: OpenSafetensors, onBytes?: (piece: Uint8Array) => void): Promise<Safetensors> {
  const { tensors: stored, metadata, head } = opened;
  const tensors: [string, Safetensors["tensors"][string]][] = [];
  if (onBytes) {
    onBytes(head);
    for (const [name, { shape, dtype, read }] of Object.entries(stored)) {
      tensors.push([name, { shape, dtype, data: await read({ onBytes }) }]);
    }
  } else {
    for await (const [name, tensor] of readAhead(Object.entries(stored))) {
      tensors.push([name, { ...tensor, dtype: (stored[name] as StoredTensor).dtype }]);
    }
  }
  return { tensors: Object.fromEntries(tensors), metadata };
}

/**
 * Decodes safetensors bytes, as {@link readSafetensors} does a file. Throws an Error naming `place` when the bytes are torn
 * or malformed: header past the end, ranges that overlap, leave gaps or do not match the shape, unknown dtype.
 */
export function decodeSafetensors(bytes: Uint8Array, place = "memory"): Safetensors {
  const refuse = (reason: string) => new Error(`Cannot read safetensors ${place}: ${reason}`);
  const json = bytes.subarray(PREFIX, PREFIX + headerLength(bytes, bytes.length, refuse));
  const { tensors, metadata } = parseHeader(json, bytes.length, refuse);
  const decoded = tensors.map(([name, { shape, dtype, offset, byteLength }]) => {
    const copy = new Uint8Array(byteLength); // aligned, and independent of the file's buffer
    copy.set(bytes.subarray(offset, offset + byteLength));
    try {
      return [name, { shape, dtype, data: DTYPES[dtype].decode(copy) }] as const;
    } catch (error) {
      throw refuse(`tensor "${name}" ${(error as Error).message}`);
    }
  });
  return { tensors: Object.fromEntries(decoded), metadata };
}

/**
 * Encodes weights as safetensors, tensors in name order, so equal weights give equal bytes. F16 rounds to nearest.
 * Throws when a tensor's data and shape disagree.
 */
export function encodeSafetensors(options: { tensors: Weights; metadata?: Record<string, string>; dtype?: "F32" | "F16" }): Uint8Array {
  const { tensors, metadata = {}, dtype } = options;
  const { head, ordered, byteLength } = layOut(sourcesOf(tensors, dtype), metadata);
  const out = new Uint8Array(byteLength);
  out.set(head);
  let at = head.length;
  for (const [, { pieces }] of ordered) {
    for (const piece of pieces()) {
      out.set(piece, at);
      at += piece.length;
    }
  }
  return out;
}
