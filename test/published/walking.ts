/** Walks of published schedulers over a toy network, as the machine takes them: for tests that hold them to diffusers' own. */
import { numbers } from "../../models/diffusion/arithmetic.ts";
import { advance, memoriesOf, type Registers } from "../../models/diffusion/machine.ts";
import { createParameterisation } from "../../models/diffusion/parameterisation.ts";
import { type Schedule, walkSchedule } from "../../models/diffusion/plan-schedule.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import type { DiffusionSettings } from "../../schemas/settings.ts";

/** The diffusion of a network that was published with such a scheduler. */
export const diffusionOf = (className: string, config: object): DiffusionSettings => ({
  ...settingsSchema.parse({}).diffusion,
  schedule: { _class_name: className, ...config },
});

/** The walk of such a scheduler; `diffusion` where it is another than {@link diffusionOf}. */
export const walkOf = (
  className: string,
  config: object,
  steps: number,
  diffusion = diffusionOf(className, config),
  shape: [number, number, number] = [8, 8, 4],
): Schedule => walkSchedule({ diffusion, shape, steps })!;

/** D of a network F, as programs compute it: what F is given and told follows from the parameterisation. */
export function denoiserOf(diffusion: DiffusionSettings, network: (x: number, time: number) => number) {
  const { precondition } = createParameterisation(diffusion);
  return (x: number, sigma: number, time?: number): number => {
    const { cSkip, cOut, cIn, cNoise } = precondition(sigma, numbers);
    return cSkip * x + cOut * network(cIn * x, time ?? cNoise);
  };
}

/** The end of a walk from unit noise, with the fresh noise that ancestral schedulers add. */
export function walked(schedule: Schedule, denoise: (x: number, sigma: number, time?: number) => number, noise: number, fresh = 0): number {
  const { stages, start, clip } = schedule;
  let registers: Registers<number> = { x: start * noise, memories: new Array<number>(memoriesOf(stages)).fill(0) };
  for (const [i, stage] of stages.entries()) {
    const denoised = denoise(registers.x, stage.sigma, stage.time);
    const clipped = clip === undefined ? undefined : Math.min(clip, Math.max(-clip, denoised));
    const next = advance({ stage, ...registers, denoised, clipped }, numbers);
    registers = { ...next, x: next.x + (schedule.fresh[i] as number) * fresh };
  }
  return registers.x;
}

/** Where walks start, and what the network answers. */
export const noises = [-1.5, -0.4, 0.3, 1.2];
export const toy = (x: number, time: number): number => 0.8 * Math.sin(1.3 * x + time / 400) + 0.1 * x;
