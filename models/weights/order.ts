/** Tensors with their sides in another order. */
import { elements, type Weights } from "../../engine/weights.ts";
import { MAGNITUDE, TO_SIGN } from "./finite.ts";

/** How a tensor's elements go to their places in another order of its sides, which ends with the side `along`. */
export interface Rearrangement {
  /** Sides of the result. */
  shape: number[];
  /** Elements along the result's last side, and how far apart they are in what is given. */
  length: number;
  step: number;
  /** Where the rows of the result begin and where their first elements are, in the order of what is given. */
  from: number[];
  to: number[];
}

/** The rearrangement after which side i is side `order[i]` of `shape`. */
export function rearrangement(shape: readonly number[], order: readonly number[]): Rearrangement {
  const sides = order.map((side) => shape[side] as number);
  const along = order.at(-1) as number;
  let [from, to] = [[0], [0]];
  for (const [side, length] of shape.entries()) {
    if (side === along) continue;
    const [read, written] = [elements(shape.slice(side + 1)), elements(sides.slice(order.indexOf(side) + 1))];
    const each = Array.from({ length }, (_, i) => i);
    from = from.flatMap((at) => each.map((i) => at + i * read));
    to = to.flatMap((at) => each.map((i) => at + i * written));
  }
  return { shape: sides, length: shape[along] as number, step: elements(shape.slice(along + 1)), from, to };
}

/** The tensor with its sides in another order: side i of the result is side `order[i]` of what is given. */
export function permuted({ shape, data }: Weights[string], order: readonly number[]): Weights[string] {
  if (data.length === 0) return { shape: order.map((side) => shape[side] as number), data }; // weights may be shapes alone
  const moves = rearrangement(shape, order);
  const moved = new Float32Array(data.length);
  rearrange(moves, { given: bitsOf(data), moved: bitsOf(moved), first: 0, end: moves.length });
  return { shape: moves.shape, data: moved };
}

/**
 * Elements in a row that are moved before the next row's: so many rows of what is read stay in a processor's nearest caches, and of
 * what is written a few whole lines. Of 8 to 128 this was fastest for kernels of Stable Diffusion.
 */
export const TILE = 64;

/** What is moved: the elements from `first` to `end` of each row of the result, as their bits. */
interface Moving<Given> {
  /** No more than these elements, the first of them at its beginning, where they are the outermost side of what is moved. */
  given: Given;
  moved: Int32Array;
  first: number;
  end: number;
}

/** The bits of floats, in the same memory. */
export const bitsOf = (values: Float32Array): Int32Array => new Int32Array(values.buffer, values.byteOffset, values.length);

/** Moves floats, and answers whether all of them are finite: looking at them on the way takes a third of the time of a look of its own. */
export function rearrange({ from, to, step }: Rearrangement, { given, moved, first, end }: Moving<Int32Array>): boolean {
  let seen = 0;
  for (let tile = first; tile < end; tile += TILE) {
    const last = Math.min(end, tile + TILE);
    const offset = (tile - first) * step;
    for (let row = 0; row < from.length; row++) {
      const at = to[row] as number;
      for (let i = tile, read = (from[row] as number) + offset; i < last; i++, read += step) {
        const bits = given[read] as number;
        seen |= (bits & MAGNITUDE) + TO_SIGN;
        moved[at + i] = bits;
      }
    }
  }
  return seen >= 0;
}

/**
 * The same of halves, which become floats on the way: `widened` has the bits of each. The loops stand twice for their speed: shared, with
 * the innermost given as a function, both took 7 % longer, and loading a teacher is mostly this.
 */
export function rearrangeHalves(
  { from, to, step }: Rearrangement,
  { given, moved, first, end, widened }: Moving<Uint16Array> & { widened: Int32Array },
): boolean {
  let seen = 0;
  for (let tile = first; tile < end; tile += TILE) {
    const last = Math.min(end, tile + TILE);
    const offset = (tile - first) * step;
    for (let row = 0; row < from.length; row++) {
      const at = to[row] as number;
      for (let i = tile, read = (from[row] as number) + offset; i < last; i++, read += step) {
        const bits = widened[given[read] as number] as number;
        seen |= (bits & MAGNITUDE) + TO_SIGN;
        moved[at + i] = bits;
      }
    }
  }
  return seen >= 0;
}
