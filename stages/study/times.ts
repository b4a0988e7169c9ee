import type { Time } from "./results.ts";

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
