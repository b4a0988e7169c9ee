/** The schedule of flow matching as diffusers publishes it, FlowMatchEulerDiscreteScheduler (Esser et al. 2024; SD 3 and FLUX). */
import * as z from "zod";
import { badUsage } from "../../schemas/failure.ts";
import { exponentialSigmas, karrasSigmas } from "./published-sigmas.ts";
import { linspace } from "./published-timesteps.ts";

const f32 = Math.fround;

/** Networks are told a share of noise, which they multiply by a thousand themselves: no other number of training steps fits them. */
export const flowKeys = {
  num_train_timesteps: z.literal(1000).default(1000),
  shift: z.number().positive().default(1),
  use_dynamic_shifting: z.boolean().default(false),
  base_shift: z.number().nullable().default(0.5),
  max_shift: z.number().nullable().default(1.15),
  base_image_seq_len: z.int().positive().default(256),
  max_image_seq_len: z.int().positive().default(4096),
  invert_sigmas: z.literal(false).default(false),
  shift_terminal: z.number().nullable().default(null),
  use_karras_sigmas: z.boolean().nullable().default(false),
  use_exponential_sigmas: z.boolean().nullable().default(false),
  use_beta_sigmas: z.literal(false).nullable().default(false),
  time_shift_type: z.enum(["exponential", "linear"]).default("exponential"),
  stochastic_sampling: z.boolean().default(false),
};
const schema = z.object(flowKeys);
export type FlowConfig = z.infer<typeof schema>;

/** What a pipeline tells the schedule beside the number of steps. */
export interface FlowGiven {
  /** Patches of the picture, on which dynamic shifting depends. */
  tokens?: number;
  /** The shift itself, in place of `tokens`. */
  mu?: number;
  /** Shares of noise before they are shifted: FLUX's pipeline gives {@link evenShares}, SD 3's none. */
  sigmas?: readonly number[];
}

/** How a pipeline lays out a flow: the side of a patch in latent pixels, and whether its shares of noise are {@link evenShares}. */
export interface FlowLayout {
  patch: number;
  isEven: boolean;
}

/** Those of pipelines by their classes. */
export const flowLayouts: Readonly<Record<string, FlowLayout>> = {
  FluxPipeline: { patch: 2, isEven: true },
  StableDiffusion3Pipeline: { patch: 2, isEven: false },
};

/** Shares of noise from 1 down to 1 / steps. */
export const evenShares = (steps: number): number[] => linspace(1, 1 / steps, steps);

/** mu of dynamic shifting: linear in the number of patches, base_shift and max_shift at base_image_seq_len and max_image_seq_len. */
function dynamicShift(c: FlowConfig, tokens: number): number {
  const [base, max] = [c.base_shift ?? 0.5, c.max_shift ?? 1.15];
  const slope = (max - base) / (c.max_image_seq_len - c.base_image_seq_len);
  return tokens * slope + (base - slope * c.base_image_seq_len);
}

/**
 * Shares of noise of a walk of `steps`, in float32 and with the clean end. Where none are given they run between the ends of the
 * published table, which is shifted already, so a constant shift acts on them twice. Throws a usage failure where dynamic shifting
 * lacks both mu and tokens.
 */
export function flowSigmas(c: FlowConfig, steps: number, { tokens, mu, sigmas }: FlowGiven = {}): number[] {
  const constant = (t: number) => (c.shift * t) / (1 + (c.shift - 1) * t);
  const untouched = sigmas ? sigmas.map(f32) : publishedShares(c, steps, constant);
  const shifted = c.use_dynamic_shifting
    ? untouched.map(dynamic(c, mu ?? (tokens === undefined ? undefined : dynamicShift(c, tokens))))
    : untouched.map(constant);
  const stretched = c.shift_terminal ? stretchedTo(shifted, c.shift_terminal) : shifted;
  const ends = { first: stretched[0] as number, last: stretched.at(-1) as number, count: stretched.length };
  const levels = c.use_karras_sigmas ? karrasSigmas(ends) : c.use_exponential_sigmas ? exponentialSigmas(ends) : stretched;
  return [...levels.map(f32), 0];
}

function publishedShares(c: FlowConfig, steps: number, constant: (t: number) => number): number[] {
  const trained = c.num_train_timesteps;
  const end = (share: number) => f32(c.use_dynamic_shifting ? share : constant(share));
  return linspace(end(1) * trained, end(f32(1 / trained)) * trained, steps).map((time) => time / trained);
}

function dynamic(c: FlowConfig, mu: number | undefined): (t: number) => number {
  if (mu === undefined) {
    throw badUsage(
      "Cannot lay out the noise levels of a schedule with use_dynamic_shifting: neither the number of patches (tokens) nor mu is given",
    );
  }
  const factor = c.time_shift_type === "exponential" ? Math.exp(mu) : mu;
  return (t) => factor / (factor + (1 / t - 1));
}

/** Shares stretched from 1 so that the last is `terminal`. */
function stretchedTo(shares: readonly number[], terminal: number): number[] {
  const factor = (1 - (shares.at(-1) as number)) / (1 - terminal);
  return shares.map((share) => 1 - (1 - share) / factor);
}
