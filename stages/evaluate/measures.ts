import type { Comparison } from "../../models/metrics/compare.ts";
import type { Obedience } from "./obedience.ts";

/** What was measured of one set of images with the samples of one seed. */
export interface SeedMeasures extends Partial<Comparison> {
  seed: number;
  frechetDistance: number;
  seconds?: number; // that making an image took while others were being measured
  diversity?: number; // mean feature distance of two samples of the same condition
  obedience?: Obedience;
}

/** What was measured of one subject, once a seed. */
export interface Measures {
  subject: string; // e.g. "student, 1 NFE"
  role: "student" | "teacher" | "pair" | "floor" | "ceiling";
  preparation: string; // what the reference's images went through before being compared
  path?: string;
  hash?: string; // of the weights
  evaluations?: number; // network evaluations an image (NFE)
  priorEvaluations?: number; // of the prior before those, one a token
  seeds: SeedMeasures[];
}

/** Mean of a figure over seeds, and its sample standard deviation (divisor n - 1): undefined for one seed. */
export interface Summary {
  mean: number;
  spread?: number;
  count: number;
}

/** The summary of a figure's values, one a seed. */
export function summarise(values: readonly number[]): Summary {
  const count = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  if (count < 2) return { mean, count };
  return { mean, spread: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1)), count };
}

/** Figures that are numbers, by the name under which they are recorded. */
export const figures = {
  frechetDistance: (of: SeedMeasures) => of.frechetDistance,
  kernelDistance: (of: SeedMeasures) => of.kernelDistance,
  precision: (of: SeedMeasures) => of.precision,
  recall: (of: SeedMeasures) => of.recall,
  duplicates: (of: SeedMeasures) => of.duplicates,
  diversity: (of: SeedMeasures) => of.diversity,
  finestBand: (of: SeedMeasures) => of.bands?.at(-1),
  captionsObeyed: (of: SeedMeasures) => of.obedience?.all,
  seconds: (of: SeedMeasures) => of.seconds,
} as const;

export type FigureName = keyof typeof figures;

/** A figure of a subject over its seeds; undefined where it was not measured. */
export function figure({ seeds }: Pick<Measures, "seeds">, name: FigureName): Summary | undefined {
  const values = seeds.flatMap((of) => figures[name](of) ?? []);
  return values.length > 0 ? summarise(values) : undefined;
}

/** All figures of a subject that were measured. */
export function summaries(measures: Pick<Measures, "seeds">): Partial<Record<FigureName, Summary>> {
  const names = Object.keys(figures) as FigureName[];
  return Object.fromEntries(names.flatMap((name) => (figure(measures, name) ? [[name, figure(measures, name)]] : [])));
}
