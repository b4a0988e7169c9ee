/**
 * Parameters as PyTorch's modules name and lay them out, and as our layers do: kernels [in, out] and [height, width, in, out]
 * where theirs are [out, in] and [out, in, height, width]. Both ways are exact, so what was read can be written again.
 */
import type { Shapes, Weights } from "../../engine/weights.ts";
import { permuted } from "../weights/order.ts";

/** What a network's file calls its parameters, beyond the rules of this file. */
export interface TorchNames {
  /** Lookup tables [rows, width], by their names in the file: no kernels, though they have two sides as well. */
  tables?: RegExp;
  /** The name that a parameter has today, where older files call it otherwise; undefined for what is no parameter at all. */
  today?: (name: string) => string | undefined;
  /** Second names of parameters, by which files may have them too, or alone. */
  copies?: Readonly<Record<string, string>>;
}

type Tensor = Weights[string];

/** Where a tensor of a file goes: its name there and here, and the order of its sides where that is another here. */
export type Place = readonly [written: string, own: string, order?: readonly number[]];

/**
 * Weights under our names: `x.weight` is `x.kernel` where it has four sides or two, `x.table` where it is a lookup table, `x.scale`
 * where it has one; all else keeps its name and layout. Throws an Error where two tensors get the same name.
 */
export function fromTorch(tensors: Weights, names: TorchNames = {}): Weights {
  return Object.fromEntries(
    torchPlaces(tensors, names).map(([written, own, order]) => {
      const tensor = tensors[written] as Tensor;
      return [own, order ? permuted(tensor, order) : tensor];
    }),
  );
}

/** What {@link fromTorch} does with each tensor, by a file's names and shapes; what is no parameter has no place. Throws as it does. */
export function torchPlaces(shapes: Shapes, { tables, today = (name) => name, copies = {} }: TorchNames): Place[] {
  const taken = new Set<string>();
  return Object.entries(shapes).flatMap(([written, { shape }]) => {
    const { [written]: original } = copies;
    if (original !== undefined && Object.hasOwn(shapes, original)) return [];
    const name = today(original ?? written);
    if (name === undefined) return [];
    const [own, order] = ownPlace(name, shape, tables);
    if (taken.has(own)) throw new Error(`it holds the parameter "${name}" twice, once as "${written}"`);
    taken.add(own);
    return [order ? ([written, own, order] as const) : ([written, own] as const)];
  });
}

function ownPlace(name: string, shape: readonly number[], tables?: RegExp): [own: string, order?: readonly number[]] {
  if (!name.endsWith(".weight")) return [name];
  const stem = name.slice(0, -".weight".length);
  if (tables?.test(name)) return [`${stem}.table`];
  if (shape.length === 1) return [`${stem}.scale`];
  if (shape.length === 2) return [`${stem}.kernel`, [1, 0]];
  if (shape.length === 4) return [`${stem}.kernel`, [2, 3, 1, 0]];
  return [name];
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

/** Images as PyTorch has them, [b, c, h, w], as we do, [b, h, w, c]. */
export const fromChannelsFirst = (tensor: Tensor): Tensor => permuted(tensor, [0, 2, 3, 1]);
/** The way back. */
export const toChannelsFirst = (tensor: Tensor): Tensor => permuted(tensor, [0, 3, 1, 2]);

/** A matrix [rows, columns] as [columns, rows]. */
export const transposed = (tensor: Tensor): Tensor => permuted(tensor, [1, 0]);
