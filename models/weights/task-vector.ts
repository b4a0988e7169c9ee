/**
 * Arithmetic on whole networks: what one training has changed (a task vector, Ilharco et al. 2023) added to another network of the
 * same layout, as YOSO's 1024 px model is made of its 512 px one.
 */
import { layoutDifferences, type Weights } from "../../engine/weights.ts";

/** What is to be added up; all are weights of one network. */
export interface TaskSum {
  /** theta_a. */
  base: Weights;
  /** theta_b, and theta_0 that it was trained from. */
  add: Weights;
  minus: Weights;
  /** c; negative to take away what was learned. */
  scale: number;
  /** Parameters that stay the base's, and need not have the same shape in the others. */
  keep?: (name: string) => boolean;
}

/**
 * theta_a + c (theta_b - theta_0), parameter by parameter, rounded to float32 once: the rounding errors of the difference, the
 * product and the sum in float64 are carried along, so theta_b = theta_0 gives theta_a, and theta_a = theta_0 with c = 1 gives
 * theta_b, to the bit. Throws an Error where layouts differ ({@link taskProblems} says how).
 */
export function addTask({ base, add, minus, scale, keep = () => false }: TaskSum): Weights {
  const [problem] = [...taskProblems({ base, other: add, keep }), ...taskProblems({ base, other: minus, keep })];
  if (problem !== undefined) throw new Error(`Cannot add weights of another layout: ${problem}`);
  return Object.fromEntries(
    Object.entries(base).map(([name, tensor]) => {
      if (keep(name)) return [name, tensor];
      const [more, less] = [add[name], minus[name]] as [Weights[string], Weights[string]];
      const data = tensor.data.map((value, i) => sumOf(value, more.data[i] as number, less.data[i] as number, scale));
      return [name, { shape: [...tensor.shape], data }];
    }),
  );
}

/** In words, each name or shape of a network that is not as in the base, but of what is kept. */
export function taskProblems({ base, other, keep = () => false }: { base: Weights; other: Weights } & Pick<TaskSum, "keep">): string[] {
  const rest = (weights: Weights): Weights => Object.fromEntries(Object.entries(weights).filter(([name]) => !keep(name)));
  return layoutDifferences(rest(base), rest(other));
}

/** a + c (b - m), as if it were rounded to float64 once. */
function sumOf(a: number, b: number, m: number, c: number): number {
  const [difference, lost] = twoSum(b, -m);
  const [product, cut] = twoProduct(c, difference);
  const [sum, rest] = twoSum(a, product);
  return sum + (rest + (cut + c * lost));
}

/** A float64 sum and its rounding error, exactly (Knuth 1969). */
function twoSum(a: number, b: number): [number, number] {
  const sum = a + b;
  const other = sum - a;
  return [sum, a - (sum - other) + (b - other)];
}

/** A float64 product and its rounding error, exactly but where it underflows (Dekker 1971). */
function twoProduct(a: number, b: number): [number, number] {
  const product = a * b;
  const [a1, a2] = halves(a);
  const [b1, b2] = halves(b);
  return [product, a2 * b2 - (product - a1 * b1 - a2 * b1 - a1 * b2)];
}

/** A float64 as two numbers of 26 bits (Veltkamp). */
function halves(value: number): [number, number] {
  const scaled = value * (2 ** 27 + 1);
  const high = scaled - (scaled - value);
  return [high, value - high];
}
