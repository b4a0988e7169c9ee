/** What the seeds of a study say of its variants: how they stand, and how sure that is. */
import { type Summary, summarise } from "../evaluate/measures.ts";

/** Distances of one variant. */
export interface Sample {
  name: string;
  runs: readonly { seed: number; value: number }[];
  published?: number;
}

/**
 * clear: mean +- spread of the two do not overlap. likely: they overlap, but one is below the other for every seed.
 * open: neither, or fewer than two seeds.
 */
export type Certainty = "clear" | "likely" | "open";

export interface Pair {
  /** The one with the lower mean, and the other. */
  better: string;
  worse: string;
  /** Of the means. */
  difference: number;
  certainty: Certainty;
  /** Two-sided, Welch's t-test; undefined below two seeds. */
  p?: number;
  /** Whether the published numbers have them in this order; undefined where one has none. */
  published?: boolean;
}

/** The distances alone. */
export const valuesOf = ({ runs }: Sample): number[] => runs.map(({ value }) => value);

/** Every pair of variants that have values, neighbours in the given order first. */
export function pairsOf(samples: readonly Sample[]): Pair[] {
  const known = samples.filter(({ runs }) => runs.length > 0);
  const pairs: Pair[] = [];
  for (let distance = 1; distance < known.length; distance++) {
    for (let i = 0; i + distance < known.length; i++) pairs.push(pairOf(known[i]!, known[i + distance]!));
  }
  return pairs;
}

function pairOf(first: Sample, second: Sample): Pair {
  const [better, worse] = summarise(valuesOf(first)).mean <= summarise(valuesOf(second)).mean ? [first, second] : [second, first];
  const [low, high] = [summarise(valuesOf(better)), summarise(valuesOf(worse))];
  const asPublished = better.published === undefined || worse.published === undefined ? undefined : better.published < worse.published;
  return {
    better: better.name,
    worse: worse.name,
    difference: high.mean - low.mean,
    certainty: certaintyOf(better, worse),
    ...(low.spread !== undefined && high.spread !== undefined && { p: welch(low, high) }),
    ...(asPublished !== undefined && { published: asPublished }),
  };
}

function certaintyOf(better: Sample, worse: Sample): Certainty {
  const [low, high] = [summarise(valuesOf(better)), summarise(valuesOf(worse))];
  if (low.spread === undefined || high.spread === undefined) return "open";
  if (low.mean + low.spread < high.mean - high.spread) return "clear";
  const shared = better.runs.flatMap(({ seed, value }) => {
    const other = worse.runs.find((run) => run.seed === seed);
    return other ? [value < other.value] : [];
  });
  return shared.length > 1 && shared.every(Boolean) ? "likely" : "open";
}

/** Two-sided p of Welch's unequal-variances t-test, that two normal samples have one mean. */
export function welch(first: Summary, second: Summary): number {
  const [a, b] = [first, second].map(({ spread = 0, count }) => spread ** 2 / count) as [number, number];
  if (a + b === 0) return first.mean === second.mean ? 1 : 0;
  const t = (first.mean - second.mean) / Math.sqrt(a + b);
  const freedom = (a + b) ** 2 / (a ** 2 / (first.count - 1) + b ** 2 / (second.count - 1));
  return regularisedBeta(freedom / (freedom + t * t), freedom / 2, 0.5);
}

/** I_x(a, b), by the continued fraction DLMF 8.17.22 (modified Lentz), to about 1e-12. */
export function regularisedBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - regularisedBeta(1 - x, b, a);
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x)) / a;
  let [c, d] = [1, 1 / (1 - ((a + b) * x) / (a + 1))];
  let fraction = d;
  for (let m = 1; m <= 500; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    let step = 1;
    for (const term of [even, odd]) {
      d = 1 / (1 + term * d);
      c = 1 + term / c;
      step = c * d;
      fraction *= step;
    }
    if (Math.abs(step - 1) < 1e-15) break;
  }
  return front * fraction;
}

/** ln Gamma(x) for x > 0, by Stirling's series (DLMF 5.11.1) above 10. */
function logGamma(x: number): number {
  if (x < 10) return logGamma(x + 1) - Math.log(x);
  const z = 1 / (x * x);
  const series = (1 / 12 - z * (1 / 360 - z * (1 / 1260 - z * (1 / 1680 - z * (1 / 1188 - (z * 691) / 360360))))) / x;
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series;
}
