/** Bytes as hyparquet reads them: of a file, or in memory. */
import { constants, createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import type { AsyncBuffer } from "hyparquet";
import { filesAt } from "./files.ts";
import { isUrl } from "./place.ts";

/** A file's bytes on demand. */
export interface FileBuffer extends AsyncBuffer {
  /** Tells the file from what it may become, or what may take its place; empty where that cannot be told. */
  identity: string;
  /** Fills `bytes` with those of the file from `start` on. Throws an Error where the file has ended before. */
  fill: (bytes: Uint8Array, start: number) => Promise<void>;
  close: () => Promise<void>;
}

/**
 * A file's bytes on demand, by positioned reads: 2.5 times as fast as hyparquet's own streams. Close it after use.
 *
 * @example
 * import { openBuffer } from "./buffers.ts";
 * import { shardPath } from "../shards/store.ts";
 * const file = await openBuffer(shardPath(latents, 0));
 * assert.equal(new TextDecoder().decode(await file.slice(0, 4)), "PAR1");
 * await file.close();
 */
export async function openBuffer(path: string): Promise<FileBuffer> {
  if (isUrl(path)) return objectBuffer(path);
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // a named pipe would wait for a writer
  const stats = await file.stat();
  if (!stats.isFile()) {
    await file.close();
    throw new Error("it is not a file");
  }
  const { size, dev, ino, mtimeMs } = stats;
  const fill = async (bytes: Uint8Array, start: number): Promise<void> => {
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, start + filled);
      if (bytesRead === 0) throw new Error(`${path} ended after ${start + filled} bytes, expected ${size}`);
      filled += bytesRead;
    }
  };
  return {
    byteLength: size,
    identity: [dev, ino, size, mtimeMs].join(" "),
    fill,
    slice: async (start: number, end = size) => {
      const bytes = new Uint8Array(Math.max(0, Math.min(end, size) - start));
      await fill(bytes, start);
      return bytes.buffer;
    },
    close: () => file.close(),
  };
}

/** An object's bytes on demand, a request for each stretch. Throws an error as the file system does where there is none. */
async function objectBuffer(url: string): Promise<FileBuffer> {
  const files = filesAt(url);
  const size = await files.size(url);
  if (size === undefined) throw Object.assign(new Error(`there is no ${url}`), { code: "ENOENT" });
  const slice = async (start: number, end = size): Promise<ArrayBuffer> => {
    const bytes = await files.read(url, { from: start, to: Math.min(end, size) });
    if (!bytes) throw Object.assign(new Error(`there is no ${url}`), { code: "ENOENT" });
    return bytes.byteLength === bytes.buffer.byteLength ? (bytes.buffer as ArrayBuffer) : Uint8Array.from(bytes).buffer;
  };
  return {
    byteLength: size,
    identity: "",
    slice,
    fill: async (bytes, start) => bytes.set(new Uint8Array(await slice(start, start + bytes.length))),
    close: async () => {},
  };
}

/**
 * A file's content in pieces, wherever it lies.
 *
 * @example
 * import { piecesOf } from "./buffers.ts";
 * let bytes = 0;
 * for await (const piece of piecesOf(`${latents.folder}/store.json`)) bytes += piece.length;
 * assert.ok(bytes > 100);
 */
export function piecesOf(path: string): AsyncIterable<Uint8Array> {
  return isUrl(path) ? objectPieces(path) : createReadStream(path);
}

async function* objectPieces(url: string): AsyncGenerator<Uint8Array> {
  const file = await objectBuffer(url);
  for (let at = 0; at < file.byteLength; at += 2 ** 24) yield new Uint8Array(await file.slice(at, at + 2 ** 24));
}

/** Bytes in memory, which need no copy to be looked at. */
export interface MemoryBuffer extends AsyncBuffer {
  view: (from: number, to: number) => Uint8Array;
}

/** The bytes of a stretch, aligned to 8: a view of what is in memory so, else a copy. */
export async function bytesIn(file: AsyncBuffer | MemoryBuffer, from: number, to: number): Promise<Uint8Array> {
  const seen = "view" in file ? file.view(from, to) : undefined;
  return seen && seen.byteOffset % 8 === 0 ? seen : new Uint8Array(await file.slice(from, to));
}

/** A stretch of a file, from `from` (inclusive) to `to`, and the place in it that is to be at a multiple of 8 in memory. */
export interface Stretch {
  from: number;
  to: number;
  aligned: number;
}

/**
 * The bytes of a stretch, read to where `aligned` is at a multiple of 8: numbers can only be viewed at multiples of their width.
 *
 * @example
 * import { memoryBuffer, readStretch } from "./buffers.ts";
 * const file = memoryBuffer(Uint8Array.from({ length: 20 }, (_, i) => i));
 * const bytes = await readStretch(file, { from: 1, to: 15, aligned: 3 });
 * assert.deepEqual([bytes[2], (bytes.byteOffset + 2) % 8], [3, 0]);
 */
export async function readStretch(file: AsyncBuffer | FileBuffer, { from, to, aligned }: Stretch): Promise<Uint8Array> {
  const pad = (ALIGNMENT - ((aligned - from) % ALIGNMENT)) % ALIGNMENT;
  const { buffer } = Buffer.allocUnsafeSlow(pad + to - from).fill(0, 0, pad); // zeros for all of it would cost as much as reading
  const bytes = new Uint8Array(buffer, pad, to - from);
  if ("fill" in file) await file.fill(bytes, from);
  else bytes.set("view" in file ? (file as MemoryBuffer).view(from, to) : new Uint8Array(await file.slice(from, to)));
  return bytes;
}

const ALIGNMENT = 8; // bytes, as Arrow wants its buffers

/**
 * All of a file in memory, in pieces that follow each other. What lies in two of them is looked at in a copy.
 *
 * @example
 * import { memoryPieces } from "./buffers.ts";
 * const { byteLength, view } = memoryPieces([Uint8Array.of(1, 2), Uint8Array.of(3, 4, 5)]);
 * assert.deepEqual([byteLength, [...view(2, 4)], [...view(1, 3)]], [5, [3, 4], [2, 3]]);
 */
export function memoryPieces(pieces: readonly Uint8Array[]): MemoryBuffer {
  const starts: number[] = [];
  let end = 0;
  for (const { length } of pieces) {
    starts.push(end);
    end += length;
  }
  const view = (from: number, to: number): Uint8Array => {
    const at = starts.findLastIndex((start) => start <= from);
    const [piece, start] = [pieces[at], starts[at]];
    if (piece === undefined || start === undefined) return new Uint8Array();
    if (to <= start + piece.length) return piece.subarray(from - start, to - start);
    return Buffer.concat(pieces).subarray(from, to);
  };
  return { byteLength: end, view, slice: (from, to = end) => new Uint8Array(view(from, to)).buffer };
}

/**
 * Bytes in memory as hyparquet wants them; of a stretch of a file `start` is the place of its first byte.
 *
 * @example
 * import { memoryBuffer } from "./buffers.ts";
 * const { byteLength, slice } = memoryBuffer(Uint8Array.of(1, 2, 3));
 * assert.deepEqual([byteLength, new Uint8Array(await slice(1))], [3, Uint8Array.of(2, 3)]);
 */
export function memoryBuffer(bytes: Uint8Array, start = 0): MemoryBuffer {
  const end = start + bytes.length;
  return {
    byteLength: end,
    view: (from, to) => bytes.subarray(from - start, to - start),
    slice: (from, to = end) => new Uint8Array(bytes.subarray(from - start, to - start)).buffer,
  };
}
