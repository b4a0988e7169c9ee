/**
 * Safetensors files of any size, opened without reading their tensors: only headers are read and checked, and each tensor
 * comes when it is asked for, by positional reads in pieces.
 */
import { type FileHandle, open, realpath, stat } from "node:fs/promises";
import type { FileTensor } from "../../engine/weights.ts";
import { DTYPES, type Dtype } from "./dtypes.ts";
import { type Header, headerLength, parseHeader, PREFIX, type Range } from "./header.ts";
import { parseIndex } from "./shards.ts";

/** A tensor in its file, in the dtype it has there. */
export interface StoredTensor extends FileTensor {
  dtype: Dtype;
  /** Its bytes as they are stored, in pieces of at most 8 MiB. */
  pieces: () => AsyncIterable<Uint8Array>;
  /** Its elements as float32; `onBytes` sees the stored bytes on their way. Integers must be exact in float32. */
  read: (options?: { onBytes?: (piece: Uint8Array) => void }) => Promise<Float32Array>;
}

export interface OpenSafetensors {
  /** By name, in the order of their bytes, file after file. */
  tensors: Record<string, StoredTensor>;
  metadata: Record<string, string>;
  /** The bytes in front of the first tensor; of a checkpoint in several files, those of all its files. */
  head: Uint8Array;
}

/** A multiple of every element's size. */
const PIECE = 2 ** 23;

/**
 * Opens a safetensors file, or a checkpoint in several files by its index (`*.safetensors.index.json`, see shards.ts). No
 * file stays open between reads: one that has changed since is refused. Throws an Error that names the file where it is
 * missing, torn or malformed; a missing file's error has the code ENOENT.
 *
 * @param path of a `.safetensors` file or of an index
 */
export async function openSafetensors(path: string): Promise<OpenSafetensors> {
  if (!path.endsWith(".json")) return openFile(path);
  const index = await parseIndex(path);
  const opened = new Map<string, OpenSafetensors>();
  for (const [file, names] of index) {
    const shard = await openFile(file).catch((error: NodeJS.ErrnoException) => {
      const reason = error.code === "ENOENT" ? `its file ${file} is missing` : error.message;
      throw Object.assign(new Error(`Cannot read safetensors ${path}: ${reason}`, { cause: error }));
    });
    const missing = names.find((name) => !Object.hasOwn(shard.tensors, name));
    if (missing !== undefined)
      throw new Error(`Cannot read safetensors ${path}: tensor "${missing}" is not in ${file}, where it says it is`);
    opened.set(file, shard);
  }
  const tensors = [...index].flatMap(([file, names]) => {
    const listed = new Set(names);
    return Object.entries((opened.get(file) as OpenSafetensors).tensors).filter(([name]) => listed.has(name));
  });
  const shards = [...opened.values()];
  return {
    tensors: Object.fromEntries(tensors),
    metadata: Object.assign({}, ...shards.map(({ metadata }) => metadata)),
    head: Buffer.concat(shards.map(({ head }) => head)),
  };
}

async function openFile(path: string): Promise<OpenSafetensors> {
  const refuse = (reason: string) => new Error(`Cannot read safetensors ${path}: ${reason}`);
  const file = await realpath(path);
  const handle = await open(file, "r");
  try {
    const made = await stampOf(handle);
    const prefix = await readRange(handle, 0, new Uint8Array(Math.min(PREFIX, made.size)));
    const json = await readRange(handle, PREFIX, new Uint8Array(headerLength(prefix, made.size, refuse)));
    const header: Header = parseHeader(json, made.size, refuse);
    const tensors = header.tensors.map(([name, range]) => [name, storedTensor({ path, file, name, range, made })]);
    return { tensors: Object.fromEntries(tensors), metadata: header.metadata, head: Buffer.concat([prefix, json]) };
  } finally {
    await handle.close();
  }
}

/** What changes when a file is written again. */
type Stamp = { size: number; mtimeMs: number; ino: number };

async function stampOf(handle: FileHandle): Promise<Stamp> {
  const { size, mtimeMs, ino } = await handle.stat();
  return { size, mtimeMs, ino };
}

function storedTensor(options: { path: string; file: string; name: string; range: Range; made: Stamp }): StoredTensor {
  const { path, file, name, range, made } = options;
  const refuse = (reason: string) => new Error(`Cannot read safetensors ${path}: ${reason}`);
  const { shape, dtype, offset, byteLength } = range;

  const compare = ({ size, mtimeMs, ino }: Stamp): void => {
    if (size !== made.size || mtimeMs !== made.mtimeMs || ino !== made.ino) throw refuse("it has changed since it was opened");
  };
  const gone = (error: NodeJS.ErrnoException): never => {
    throw error.code === "ENOENT" ? refuse("it was removed since it was opened") : error;
  };
  const check = async (): Promise<void> => compare(await stat(file).catch(gone));

  /** The stored bytes in pieces: of `whole`, where that is given, which is filled with them. */
  async function* pieces(whole?: Uint8Array<ArrayBuffer>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const handle = await open(file, "r").catch(gone);
    try {
      compare(await stampOf(handle));
      for (let at = 0; at < byteLength; at += PIECE) {
        const length = Math.min(PIECE, byteLength - at);
        yield await readRange(handle, offset + at, whole?.subarray(at, at + length) ?? new Uint8Array(length));
      }
    } finally {
      await handle.close();
    }
  }

  const read: StoredTensor["read"] = async ({ onBytes } = {}) => {
    const data = floats(byteLength / DTYPES[dtype].bytes, (reason) => refuse(`tensor "${name}" ${reason}`));
    if (dtype === "F32") {
      for await (const piece of pieces(new Uint8Array(data.buffer))) onBytes?.(piece);
      return data;
    }
    let at = 0;
    for await (const piece of pieces()) {
      onBytes?.(piece);
      try {
        const part = data.subarray(at, at + piece.length / DTYPES[dtype].bytes);
        DTYPES[dtype].decode(piece.buffer, part);
        at += part.length;
      } catch (error) {
        throw refuse(`tensor "${name}" ${(error as Error).message}`);
      }
    }
    return data;
  };
  return { shape, dtype, file, offset, byteLength, check, pieces: () => pieces(), read };
}

/** Room for `length` numbers: an array ends at 4 GiB, and a process where its memory does. */
function floats(length: number, refuse: (reason: string) => Error): Float32Array<ArrayBuffer> {
  try {
    return new Float32Array(length);
  } catch {
    throw refuse(`takes ${((4 * length) / 1e9).toFixed(1)} GB as float32, which is more than one array or the memory holds`);
  }
}

/** Fills `bytes` with those of a file from a position on, and answers them. */
async function readRange(handle: FileHandle, position: number, bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const { length } = bytes;
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, position + filled);
    if (bytesRead === 0) throw new Error(`Cannot read ${length} bytes from ${position} of a file that ends before`);
    filled += bytesRead;
  }
  return bytes;
}

/** Reads that have begun while the tensor before them is made use of. */
const AHEAD = 3;

/** The elements of tensors as float32, one after the other; the next ones are read in the meantime. Throws as their `read` does. */
export async function* readAhead<T extends FileTensor>(
  tensors: Iterable<readonly [name: string, tensor: T]>,
): AsyncGenerator<[name: string, tensor: T, data: Float32Array]> {
  const begun: { name: string; tensor: T; data: Promise<Float32Array> }[] = [];
  for (const [name, tensor] of tensors) {
    const data = tensor.read();
    data.catch(() => {}); // thrown below when its turn comes, if it does
    begun.push({ name, tensor, data });
    if (begun.length > AHEAD) yield await next(begun);
  }
  while (begun.length > 0) yield await next(begun);
}

async function next<T>(begun: { name: string; tensor: T; data: Promise<Float32Array> }[]): Promise<[string, T, Float32Array]> {
  const { name, tensor, data } = begun.shift() as (typeof begun)[number];
  return [name, tensor, await data];
}
