/** Tensors with their sides in another order. */
import { elements, type Weights } from "../../engine/weights.ts";

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
  rearrange(moves, { given: data, moved, first: 0, end: moves.length });
  return { shape: moves.shape, data: moved };
}

/**
 * Elements in a row that are moved before the next row's: so many rows of what is read stay in a processor's nearest caches, and of
 * what is written a few whole lines. Of 8 to 128 this was fastest for kernels of Stable Diffusion.
 */
export const TILE = 64;

/**
 * Moves the elements from `first` to `end` of each row of the result. Of what is moved `given` need hold no more than these, the first
 * of them at its beginning, where they are the outermost side of it.
 */
export function rearrange(
  { from, to, step }: Rearrangement,
  { given, moved, first, end }: { given: Float32Array; moved: Float32Array; first: number; end: number },
): void {
  for (let tile = first; tile < end; tile += TILE) {
    const last = Math.min(end, tile + TILE);
    const offset = (tile - first) * step;
    for (let row = 0; row < from.length; row++) {
      const at = to[row] as number;
      for (let i = tile, read = (from[row] as number) + offset; i < last; i++, read += step) moved[at + i] = given[read] as number;
    }
  }
}
