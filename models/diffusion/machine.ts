/**
 * The machine that all samplers fit, as data: a state x and a bank of memories. One stage evaluates the denoiser once, with its
 * clean prediction held to [-clip, clip] where the walk has a `clip`:
 *
 *     D  = D(x; sigma)
 *     x' = state x + denoised D + clipped clip(D) + sum of used_j m_j
 *     m_j' = kept_j m_j + state_j x + denoised_j D
 *
 * so a plan is a table of numbers, its length is the number of function evaluations, and one compiled stage whose coefficients
 * are inputs runs it.
 */
import type { Linear } from "./arithmetic.ts";

/** What a stage does with one memory. */
interface Memory<C> {
  used: C;
  kept: C;
  state: C;
  denoised: C;
}

/** The scalars of one stage (see above), without the noise level. */
export interface Update<C> {
  state: C;
  denoised: C;
  clipped: C;
  /** Those beyond the last are kept as they are. */
  memories: readonly Memory<C>[];
}

export interface Stage extends Update<number> {
  sigma: number;
  /** What the network is told, where that is not what the parameterisation says of sigma. */
  time?: number;
}

export type Plan = readonly Stage[];

/** State and memories, of numbers, arrays or tensors. */
export interface Registers<T> {
  x: T;
  memories: readonly T[];
}

/** A memory that is neither used nor changed. */
export const idle: Memory<number> = { used: 0, kept: 1, state: 0, denoised: 0 };

/** How many memories a plan needs. */
export const memoriesOf = (plan: Plan): number => Math.max(0, ...plan.map(({ memories }) => memories.length));

/**
 * Applies one stage to the registers. Coefficients are numbers (an unrolled graph) or scalar tensors (one program); `clipped` is
 * the prediction held to its bounds, of a walk that has some.
 */
export function advance<T>(
  { stage, x, memories, denoised, clipped }: { stage: Update<T | number>; denoised: T; clipped?: T | undefined } & Registers<T>,
  { add, mul }: Linear<T>,
): Registers<T> {
  const combine = (terms: [coefficient: T | number, value: T][]): T | undefined =>
    terms
      .filter(([coefficient]) => coefficient !== 0)
      .map(([coefficient, value]) => mul(value, coefficient))
      .reduce<T | undefined>((sum, term) => (sum === undefined ? term : add(sum, term)), undefined);
  const of = (i: number): Memory<T | number> => stage.memories[i] ?? idle;
  const next = combine([
    [stage.state, x],
    [stage.denoised, denoised],
    ...(clipped === undefined ? [] : [[stage.clipped, clipped] as [T | number, T]]),
    ...memories.map((memory, i): [T | number, T] => [of(i).used, memory]),
  ]);
  const kept = memories.map((memory, i) => {
    const { kept, state, denoised: answer } = of(i);
    if (kept === 1 && state === 0 && answer === 0) return memory;
    return combine([
      [state, x],
      [answer, denoised],
      [kept, memory],
    ]);
  });
  return { x: next ?? mul(x, 0), memories: kept.map((value, i) => value ?? (memories[i] as T)) };
}

/** Runs a whole plan from the state x at the plan's first noise level; inside a traced function it unrolls. */
export function integrate<T>(
  { plan, x, denoise, clip }: { plan: Plan; x: T; denoise: (x: T, sigma: number, time?: number) => T; clip?: (clean: T) => T },
  linear: Linear<T>,
): T {
  let registers: Registers<T> = { x, memories: new Array<T>(memoriesOf(plan)).fill(x) };
  for (const stage of plan) {
    const denoised = denoise(registers.x, stage.sigma, stage.time);
    registers = advance({ stage, ...registers, denoised, clipped: clip?.(denoised) }, linear);
  }
  return registers.x;
}
