import type { Cost } from "./method-rows.ts";
import type { Time } from "./results.ts";
import type { Study } from "./studies.ts";

interface Run {
  variant: string;
  seed: number;
}

/** Seconds that a run has had so far. */
export function secondsOf({ variant, seed }: Run, times: readonly Time[]): number {
  return times.filter((time) => time.variant === variant && time.seed === seed).reduce((sum, { seconds }) => sum + seconds, 0);
}

/**
 * Seconds that the runs not yet done may take: each as long as its variant's finished ones did on average, or where there is
 * none as all finished ones did, less what it has had already. 0 before the first is finished.
 */
export function secondsLeft({ jobs, done, times }: { jobs: readonly Run[]; done: readonly Run[]; times: readonly Time[] }): number {
  if (done.length === 0) return 0;
  const average = (runs: readonly Run[]): number => runs.reduce((sum, run) => sum + secondsOf(run, times), 0) / runs.length;
  const rest = jobs.filter(({ variant, seed }) => !done.some((run) => run.variant === variant && run.seed === seed));
  return rest.reduce((sum, job) => {
    const alike = done.filter(({ variant }) => variant === job.variant);
    return sum + Math.max(0, average(alike.length > 0 ? alike : done) - secondsOf(job, times));
  }, 0);
}

/** Seconds of training a run, and the most memory of any, of each variant that was trained. */
export function costsOf({ variants }: Pick<Study, "variants">, times: readonly Time[]): Record<string, Cost> {
  const found = variants.flatMap(({ name }) => {
    const training = times.filter(({ variant, part }) => variant === name && part === "train");
    if (training.length === 0) return [];
    const seeds = new Set(training.map(({ seed }) => seed)).size;
    const seconds = training.reduce((sum, time) => sum + time.seconds, 0) / seeds;
    const memory = Math.max(...training.map((time) => time.memory ?? 0));
    return [[name, { seconds: Number(seconds.toFixed(1)), ...(memory > 0 && { memory }) }] as const];
  });
  return Object.fromEntries(found);
}
