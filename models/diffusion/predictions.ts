/** Quantities that a network may predict, and how each follows from another. */
import type { Arithmetic } from "./arithmetic.ts";

/** D = skip * x + out * prediction: how the clean sample follows from the state and any one predicted quantity. */
export interface Mixture<T> {
  skip: T;
  out: T;
}

export type Row = <T>(sigma: T, arithmetic: Arithmetic<T>) => Mixture<T>;

const constant = <T>(value: number, like: T, { add, mul }: Arithmetic<T>): T => add(mul(like, 0), value);

/**
 * Clean sample from each standard quantity (state x in EDM coordinates): the clean sample itself, epsilon, the flow
 * velocity epsilon - clean (Lipman et al. 2023), v = alpha epsilon - s clean (Salimans & Ho 2022), and the score
 * grad log p(x; sigma) (Tweedie's formula).
 */
export const predictions = {
  clean: (sigma, a) => ({ skip: a.mul(sigma, 0), out: constant(1, sigma, a) }),
  epsilon: (sigma, a) => ({ skip: constant(1, sigma, a), out: a.mul(sigma, -1) }),
  velocity: (sigma, a) => ({ skip: a.div(1, a.add(sigma, 1)), out: a.div(a.mul(sigma, -1), a.add(sigma, 1)) }),
  v: (sigma, a) => {
    const squared = a.add(a.mul(sigma, sigma), 1);
    return { skip: a.div(1, squared), out: a.div(a.mul(sigma, -1), a.sqrt(squared)) };
  },
  score: (sigma, a) => ({ skip: constant(1, sigma, a), out: a.mul(sigma, sigma) }),
} satisfies Record<string, Row>;

export type Prediction = keyof typeof predictions;

/**
 * Converts a predicted quantity into another one at the state x and noise level sigma > 0. `value`, `x` and `sigma`
 * are numbers or broadcastable tensors, as the arithmetic says.
 */
export function convert<T>(
  { from, to, value, x, sigma }: { from: Prediction; to: Prediction; value: T; x: T; sigma: T },
  arithmetic: Arithmetic<T>,
): T {
  const { add, mul, div } = arithmetic;
  const source = predictions[from](sigma, arithmetic);
  const target = predictions[to](sigma, arithmetic);
  const clean = add(mul(source.skip, x), mul(source.out, value));
  return div(add(clean, mul(mul(target.skip, x), -1)), target.out);
}
