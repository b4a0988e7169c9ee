/**
 * Parameters as PyTorch's modules name and lay them out, and as our layers do: kernels [in, out] and [height, width, in, out]
 * where theirs are [out, in] and [out, in, height, width]. Both ways are exact, so what was read can be written again.
 */
import { elements, type Weights } from "../../engine/weights.ts";

/** What a network's file calls its parameters, beyond the rules of this file. */
export interface TorchNames {
  /** Lookup tables [rows, width], by their names in the file: no kernels, though they have two sides as well. */
  tables?: RegExp;
  /** The name that a parameter has today, where older files call it otherwise; undefined for what is no parameter at all. */
  today?: (name: string) => string | undefined;
}

type Tensor = Weights[string];

/**
 * Weights under our names: `x.weight` is `x.kernel` where it has four sides or two, `x.table` where it is a lookup table, `x.scale`
 * where it has one; all else keeps its name and layout. Throws an Error where two tensors get the same name.
 */
export function fromTorch(tensors: Weights, names: TorchNames = {}): Weights {
  const weights: Weights = {};
  for (const [written, tensor] of Object.entries(tensors)) addTorch(weights, { written, tensor, names });
  return weights;
}

/**
 * {@link fromTorch} of one tensor, whose name in the file is `written`: it is added to `weights`. Throws an Error where these have
 * it already.
 */
export function addTorch(weights: Weights, { written, tensor, names }: { written: string; tensor: Tensor; names: TorchNames }): void {
  const { tables, today = (name: string) => name } = names;
  const name = today(written);
  if (name === undefined) return;
  const [own, value] = ownOf(name, tensor, tables);
  if (Object.hasOwn(weights, own)) throw new Error(`it holds the parameter "${name}" twice, once as "${written}"`);
  weights[own] = value;
}

function ownOf(name: string, tensor: Tensor, tables?: RegExp): [string, Tensor] {
  if (!name.endsWith(".weight")) return [name, tensor];
  const stem = name.slice(0, -".weight".length);
  if (tables?.test(name)) return [`${stem}.table`, tensor];
  if (tensor.shape.length === 1) return [`${stem}.scale`, tensor];
  if (tensor.shape.length === 2) return [`${stem}.kernel`, permuted(tensor, [1, 0])];
  if (tensor.shape.length === 4) return [`${stem}.kernel`, permuted(tensor, [2, 3, 1, 0])];
  return [name, tensor];
}

/** The inverse of {@link fromTorch}, under today's names. */
export function toTorch(weights: Weights): Weights {
  return Object.fromEntries(
    Object.entries(weights).map(([name, tensor]) => {
      const [, stem, kind] = /^(.*)\.(kernel|table|scale)$/.exec(name) ?? [];
      if (stem === undefined) return [name, tensor];
      if (kind !== "kernel") return [`${stem}.weight`, tensor];
      return [`${stem}.weight`, permuted(tensor, tensor.shape.length === 2 ? [1, 0] : [3, 2, 0, 1])];
    }),
  );
}

/** Images as PyTorch has them, [b, c, h, w], and as we do, [b, h, w, c]. */
export const fromChannelsFirst = (tensor: Tensor): Tensor => permuted(tensor, [0, 2, 3, 1]);
export const toChannelsFirst = (tensor: Tensor): Tensor => permuted(tensor, [0, 3, 1, 2]);

/** A matrix [rows, columns] as [columns, rows]. */
export const transposed = (tensor: Tensor): Tensor => permuted(tensor, [1, 0]);

/** Elements in a row that are moved before the next row's: so many rows of what is read stay in a processor's nearest cache. */
const TILE = 32;

/** The tensor with its sides in another order: side i of the result is side `order[i]` of what is given. */
function permuted({ shape, data }: Tensor, order: readonly number[]): Tensor {
  const sides = order.map((side) => shape[side] as number);
  const along = order.at(-1) as number;
  const step = elements(shape.slice(along + 1));
  // Where the rows of the result begin and where their first elements are, in the order of what is given.
  let [from, to] = [[0], [0]];
  for (const [side, length] of shape.entries()) {
    if (side === along) continue;
    const [read, written] = [elements(shape.slice(side + 1)), elements(sides.slice(order.indexOf(side) + 1))];
    const each = Array.from({ length }, (_, i) => i);
    from = from.flatMap((at) => each.map((i) => at + i * read));
    to = to.flatMap((at) => each.map((i) => at + i * written));
  }
  const moved = new Float32Array(data.length);
  const length = shape[along] as number;
  for (let first = 0; first < length; first += TILE) {
    const end = Math.min(length, first + TILE);
    for (let row = 0; row < from.length; row++) {
      const at = to[row] as number;
      for (let i = first, read = (from[row] as number) + first * step; i < end; i++, read += step) moved[at + i] = data[read] as number;
    }
  }
  return { shape: sides, data: moved };
}
