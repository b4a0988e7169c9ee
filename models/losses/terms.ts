/** A loss of several terms. */
import { type Tensor, tf } from "../../engine/tfjs.ts";
import type { Parameters } from "../layers.ts";

/** Terms of a loss by name: each a scalar, with its weight. */
export type Terms = Record<string, readonly [term: Tensor, weight: Tensor | number]>;

/** The weighted sum of the terms, of which there is at least one, and each of them unweighted, to be recorded: scalars. */
export function weighted(terms: Terms): { loss: Tensor; metrics: Parameters } {
  return {
    loss: tf.addN(Object.values(terms).map(([term, weight]) => tf.mul(term, weight))),
    metrics: Object.fromEntries(Object.entries(terms).map(([name, [term]]) => [name, term])),
  };
}
