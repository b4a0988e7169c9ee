/** Memory in which pieces of a file become float32, and may be turned, on their way to a tensor. */
import { type Kernel, type KernelDtype, startKernels } from "./kernel.ts";

/** The most bytes of a piece. */
export const PIECE = 2 ** 22;
/** The most bytes of a row of a matrix that is turned, so that at least four are in a piece, and the most rows. */
export const MOST_STRIDE = PIECE / 4;
const MOST_ROWS = 2 ** 14;

/** The loops take four rows and columns at a time: behind a piece they read up to three rows that are none, and a vector. */
const BEHIND = 3 * MOST_STRIDE + 64;
/** Where the loops write, and columns that they turn before these are copied: they stay in a processor's caches till then. */
const MADE = 2 * (PIECE + BEHIND);
const COLUMNS = 128;

export interface Room {
  /** Two pieces: one is read while the other is worked on. */
  pieces: readonly [Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>];
  memory: ArrayBuffer;
  kernels: Readonly<Record<KernelDtype, Kernel>>;
}

/** Rooms that nobody uses: their pages are made once for many tensors, and the garbage collector may have them. */
const idle: WeakRef<Room>[] = [];

/** A room for one reader, who gives it back. */
export function takeRoom(): Room {
  for (let next = idle.pop(); next; next = idle.pop()) {
    const room = next.deref();
    if (room) return room;
  }
  const { memory, kernels } = startKernels(MADE + 4 * COLUMNS * MOST_ROWS);
  const piece = (i: number) => new Uint8Array(memory, i * (PIECE + BEHIND), PIECE);
  return { pieces: [piece(0), piece(1)], memory, kernels };
}

/** Lets the next reading have this room, as long as nothing else needs the memory. */
export function giveBack(room: Room): void {
  idle.push(new WeakRef(room));
}

/** Elements widened before these are copied. */
const STRETCH = 2 ** 14;

/** Puts the elements of a piece into `data`, from `at` on, as float32. Answers whether all are finite. */
export function widenInto(
  { memory, kernels }: Room,
  { piece, dtype, data, at, length }: { piece: Uint8Array; dtype: KernelDtype; data: Float32Array; at: number; length: number },
): boolean {
  let found = 0;
  for (let done = 0; done < length; done += STRETCH) {
    const count = Math.min(STRETCH, length - done);
    found |= kernels[dtype].widen(piece.byteOffset + (done * piece.length) / length, MADE, count);
    data.set(new Float32Array(memory, MADE, count), at + done);
  }
  return found === 0;
}

/** Rows of `stride` bytes that a piece has. */
export function rowsPerPiece(stride: number): number {
  const rows = Math.min(MOST_ROWS, Math.floor(PIECE / stride));
  return rows < 16 ? rows : rows - (rows % 16); // what is written of a row of the result is whole lines of a cache
}

/**
 * Turns a piece that is `rows` whole rows of a matrix, into `data`: column i goes to `to[i]` and on. Answers whether all elements are
 * finite; where it says no they may be, what lies behind a piece being looked at with it.
 */
export function turnInto(
  { memory, kernels }: Room,
  { piece, dtype, data, rows, to }: { piece: Uint8Array; dtype: KernelDtype; data: Float32Array; rows: number; to: ArrayLike<number> },
  at: number,
): boolean {
  const stride = piece.length / rows;
  const bytes = stride / to.length;
  const across = 16 * Math.ceil(rows / 4);
  const turned = Array.from({ length: Math.min(COLUMNS, to.length) }, (_, i) => new Float32Array(memory, MADE + i * across, rows));
  let found = 0;
  for (let column = 0; column < to.length; column += COLUMNS) {
    const columns = Math.min(COLUMNS, to.length - column);
    found |= kernels[dtype].turn(piece.byteOffset + column * bytes, MADE, rows, columns, stride, across);
    for (let i = 0; i < columns; i++) data.set(turned[i] as Float32Array, (to[column + i] as number) + at);
  }
  return found === 0;
}
