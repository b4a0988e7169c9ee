/** Random cases as a pure function of (seed, stream): shapes, numbers and choices. */
import { uniforms } from "../../schemas/numbers/philox.ts";

export interface Draw {
  /** A whole number in [low, high]. */
  int: (low: number, high: number) => number;
  /** Whole numbers in [low, high], `length` of them. */
  ints: (length: number, low: number, high: number) => number[];
  chance: (probability: number) => boolean;
  pick: <T>(choices: readonly T[]) => T;
  /** A shape whose axes are short, a quarter of them of length 1. */
  shape: (minRank: number, maxRank: number) => number[];
  /** An axis of the shape, counted from its end half of the time. */
  axis: (shape: readonly number[]) => number;
  shuffled: <T>(values: readonly T[]) => T[];
  /** Distinct float32 numbers all over [low, high], in random order: none is near another, so maxima are clear. */
  spread: (length: number, low: number, high: number) => Float64Array;
}

/** The draws of one case. */
export function createDraw(seed: number, stream: string): Draw {
  let offset = 0;
  const next = (): number => uniforms({ seed, stream, offset: offset++, length: 1 })[0] as number;
  const int: Draw["int"] = (low, high) => low + Math.floor(next() * (high - low + 1));
  const chance: Draw["chance"] = (probability) => next() < probability;
  const shuffled: Draw["shuffled"] = (values) => {
    const rest = [...values];
    return values.map(() => rest.splice(int(0, rest.length - 1), 1)[0] as (typeof values)[number]);
  };
  return {
    int,
    chance,
    shuffled,
    ints: (length, low, high) => Array.from({ length }, () => int(low, high)),
    pick: (choices) => choices[int(0, choices.length - 1)] as (typeof choices)[number],
    shape: (minRank, maxRank) => Array.from({ length: int(minRank, maxRank) }, () => (chance(0.25) ? 1 : int(2, 5))),
    axis: (shape) => int(0, shape.length - 1) - (chance(0.5) ? shape.length : 0),
    spread: (length, low, high) => {
      const shift = 0.1 + 0.8 * next();
      const order = shuffled(Array.from({ length }, (_, i) => i));
      return Float64Array.from(order, (i) => Math.fround(low + ((high - low) * (i + shift)) / length));
    },
  };
}
