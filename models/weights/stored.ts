/** A tensor of a safetensors file: read in pieces, widened, looked through and turned into another layout on the way. */
import { type FileHandle, open, stat } from "node:fs/promises";
import type { FileTensor } from "../../engine/weights.ts";
import { Failure } from "../../schemas/failure.ts";
import { DTYPES, type Dtype } from "./dtypes.ts";
import { firstNotFinite } from "./finite.ts";
import type { Range } from "./header.ts";
import { hasKernel } from "./kernel.ts";
import { permuted, rearrangement } from "./order.ts";
import { giveBack, MOST_STRIDE, PIECE, rowsPerPiece, takeRoom, turnInto, widenInto } from "./room.ts";

/** Where a tensor is, for a thread that has not opened its file. */
export interface Stored {
  /** As errors name the file, and the file itself. */
  path: string;
  file: string;
  name: string;
  range: Range;
  /** The file when it was opened. */
  made: Stamp;
}

export interface ReadOptions {
  /** Sees the stored bytes on their way. */
  onBytes?: (piece: Uint8Array) => void;
  /** Side i of what is answered is side `order[i]` of the tensor; the first side comes last. */
  order?: readonly number[];
  /** Whether an element that is not finite is refused, by a Failure. */
  isChecked?: boolean;
}

/** A tensor in its file, in the dtype it has there. */
export interface StoredTensor extends FileTensor {
  dtype: Dtype;
  stored: Stored;
  /** Its bytes as they are stored, in pieces of at most 4 MiB. */
  pieces: () => AsyncIterable<Uint8Array>;
  /** Its elements as float32. Integers must be exact in float32. */
  read: (options?: ReadOptions) => Promise<Float32Array>;
}

/** What changes when a file is written again. */
type Stamp = { size: number; mtimeMs: number; ino: number };

/** The stamp of an open file, by which a later reading knows that it is the same. */
export async function stampOf(handle: FileHandle): Promise<Stamp> {
  const { size, mtimeMs, ino } = await handle.stat();
  return { size, mtimeMs, ino };
}

/** A tensor that stays in its file until it is read; each reading throws where the file has changed since it was opened. */
export function storedTensor(stored: Stored): StoredTensor {
  const { file, range } = stored;
  const { shape, dtype, offset, byteLength } = range;
  const check = async (): Promise<void> => compare(stored, await stat(file).catch((error) => gone(stored, error)));
  const pieces = () => piecesOf(stored, { each: PIECE, room: (length) => new Uint8Array(length) });
  return { shape, dtype, file, offset, byteLength, stored, check, pieces, read: (options) => readTensor(stored, options) };
}

const refusal = ({ path }: Stored, reason: string): Error => new Error(`Cannot read safetensors ${path}: ${reason}`);

function compare(stored: Stored, { size, mtimeMs, ino }: Stamp): void {
  const { made } = stored;
  if (size !== made.size || mtimeMs !== made.mtimeMs || ino !== made.ino) throw refusal(stored, "it has changed since it was opened");
}

function gone(stored: Stored, error: NodeJS.ErrnoException): never {
  throw error.code === "ENOENT" ? refusal(stored, "it was removed since it was opened") : error;
}

type Bytes = Uint8Array<ArrayBuffer>;

/** The stored bytes, `each` at a time in what `room` gives for them; the next are read while these are made use of. */
async function* piecesOf(
  stored: Stored,
  { each, room }: { each: number; room: (length: number, at: number) => Bytes },
): AsyncGenerator<Bytes> {
  const { offset, byteLength } = stored.range;
  const handle = await open(stored.file, "r").catch((error) => gone(stored, error));
  const begin = (at: number): Promise<Bytes> | undefined => {
    if (at >= byteLength) return undefined;
    const piece = readRange(handle, offset + at, room(Math.min(each, byteLength - at), at));
    piece.catch(() => {}); // thrown below when its turn comes, if it does
    return piece;
  };
  let next: Promise<Bytes> | undefined;
  try {
    compare(stored, await stampOf(handle));
    next = begin(0);
    for (let at = each; next; at += each) {
      const piece = await next;
      next = begin(at);
      yield piece;
    }
  } finally {
    await next?.catch(() => {});
    await handle.close();
  }
}

/** The elements of a tensor as float32; see {@link StoredTensor}. */
async function readTensor(stored: Stored, options: ReadOptions = {}): Promise<Float32Array> {
  const { order, ...others } = options;
  const { onBytes, isChecked = false } = options;
  const { path, name, range } = stored;
  const { shape, dtype, byteLength } = range;
  const { bytes, decode } = DTYPES[dtype];
  const refuse = (reason: string) => refusal(stored, `tensor "${name}" ${reason}`);
  const isEmpty = byteLength === 0;
  const stride = byteLength / (shape[0] ?? 1);
  if (order && !isEmpty && !(hasKernel(dtype) && stride <= MOST_STRIDE)) {
    return permuted({ shape: [...shape], data: await readTensor(stored, others) }, order).data; // no network's kernels are such
  }
  const data = floats(byteLength / bytes, refuse);
  const moves = order && !isEmpty ? rearrangement(shape, order) : undefined;
  const all = new Uint8Array(data.buffer);
  const room = dtype === "F32" && !moves ? undefined : takeRoom();
  const each = moves ? stride * rowsPerPiece(stride) : PIECE;
  const place = (length: number, at: number): Bytes =>
    room ? (room.pieces[(at / each) % 2] as Bytes).subarray(0, length) : all.subarray(at, at + length);

  /** Puts a piece where it belongs. Answers whether its elements are finite; no may be wrong. */
  const put = (piece: Bytes, at: number): boolean => {
    const length = piece.length / bytes;
    if (room && moves && hasKernel(dtype))
      return turnInto(room, { piece, dtype, data, rows: piece.length / stride, to: moves.to }, (at * bytes) / stride);
    if (room && hasKernel(dtype)) return widenInto(room, { piece, dtype, data, at, length });
    try {
      const part = decode(piece, room && data.subarray(at, at + length));
      return !isChecked || firstNotFinite(part) < 0;
    } catch (error) {
      throw refuse((error as Error).message);
    }
  };
  let at = 0;
  for await (const piece of piecesOf(stored, { each, room: place })) {
    onBytes?.(piece);
    if (!put(piece, at) && isChecked) {
      const part = decode(piece);
      const wrong = firstNotFinite(part);
      if (wrong >= 0)
        throw new Failure(`Cannot use ${path}: element ${at + wrong} of tensor "${name}" is not finite (${part[wrong]}). Fetch it again.`);
    }
    at += piece.length / bytes;
  }
  if (room) giveBack(room);
  return data;
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
export async function readRange(handle: FileHandle, position: number, bytes: Bytes): Promise<Bytes> {
  const { length } = bytes;
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, position + filled);
    if (bytesRead === 0) throw new Error(`Cannot read ${length} bytes from ${position} of a file that ends before`);
    filled += bytesRead;
  }
  return bytes;
}
