/** Tensors with their sides in another order. */
import { elements, type Weights } from "../../engine/weights.ts";

/** How a tensor's elements go to their places in another order of its sides, which ends with the side `along`. */
interface Rearrangement {
  /** Sides of the result. */
  shape: number[];
  /** Elements along the result's last side, and how far apart they are in what is given. */
  length: number;
  step: number;
  /** Where the rows of the result begin and where their first elements are, in the order of what is given. */
  from: Int32Array;
  to: Int32Array;
}

/** The rearrangement after which side i is side `order[i]` of `shape`. */
export function rearrangement(shape: readonly number[], order: readonly number[]): Rearrangement {
  const sides = order.map((side) => shape[side] as number);
  const along = order.at(-1) as number;
  const others = [...shape.keys()].filter((side) => side !== along);
  const lengths = others.map((side) => shape[side] as number);
  const strides = (of: readonly number[], place: (side: number) => number) => others.map((side) => elements(of.slice(place(side) + 1)));
  return {
    shape: sides,
    length: shape[along] as number,
    step: elements(shape.slice(along + 1)),
    from: placesOf(
      lengths,
      strides(shape, (side) => side),
    ),
    to: placesOf(
      lengths,
      strides(sides, (side) => order.indexOf(side)),
    ),
  };
}

/** Where elements lie whose sides have these lengths and strides; the last side's follow each other. */
function placesOf(lengths: readonly number[], strides: readonly number[]): Int32Array {
  let places = new Int32Array(1);
  for (const [side, length] of lengths.entries()) {
    const [before, stride] = [places, strides[side] as number];
    places = new Int32Array(before.length * length);
    for (let i = 0, at = 0; i < before.length; i++) {
      for (let j = 0; j < length; j++, at++) places[at] = (before[i] as number) + j * stride;
    }
  }
  return places;
}

/**
 * Elements in a row that are moved before the next row's: so many rows of what is read stay in a processor's nearest caches, and of
 * what is written a few whole lines. Of 8 to 128 this was fastest for kernels of Stable Diffusion.
 */
const TILE = 64;

/** The tensor with its sides in another order: side i of the result is side `order[i]` of what is given. */
export function permuted({ shape, data }: Weights[string], order: readonly number[]): Weights[string] {
  if (data.length === 0) return { shape: order.map((side) => shape[side] as number), data }; // weights may be shapes alone
  const { shape: sides, length, step, from, to } = rearrangement(shape, order);
  const moved = new Float32Array(data.length);
  const [given, put] = [bitsOf(data), bitsOf(moved)]; // a float32 that is no number would not keep its bits everywhere
  for (let tile = 0; tile < length; tile += TILE) {
    const last = Math.min(length, tile + TILE);
    for (let row = 0; row < from.length; row++) {
      const at = to[row] as number;
      for (let i = tile, read = (from[row] as number) + tile * step; i < last; i++, read += step) put[at + i] = given[read] as number;
    }
  }
  return { shape: sides, data: moved };
}

const bitsOf = (values: Float32Array): Int32Array => new Int32Array(values.buffer, values.byteOffset, values.length);
