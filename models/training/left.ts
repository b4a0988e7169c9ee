/** Tensors that one program leaves for another: they stand among its sets, on the device. */
import type { Tensors } from "../../engine/program.ts";

/** The one variable of a set that holds a tensor which one program leaves for another. */
export const LEFT = "value";

/** Keys with a prefix, which keeps tensors on their way between programs apart from the sets of networks. */
export const prefixed = <T>(prefix: string, values: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [prefix + key, value]));

/** The sets without tensors on their way between programs. */
export const ownSets = (sets: Record<string, unknown>): Record<string, Tensors> =>
  Object.fromEntries(Object.entries(sets).filter(([key]) => !/^(left|taken)\./.test(key))) as Record<string, Tensors>;
