/** scheduler_config.json of each published scheduler that is understood: its keys, their defaults and the values that count. */
import * as z from "zod";
import { type BetaConfig, betaKeys } from "./published-betas.ts";
import { flowKeys } from "./published-flow.ts";

const spacing = z.enum(["linspace", "leading", "trailing"]);
const prediction = z.enum(["epsilon", "sample", "v_prediction"]).default("epsilon");
const isUsed = z.boolean().nullable().default(false);
const unused = z.literal(false).nullable().default(false);
/** A level of ln(alpha / s), minus infinity where none is cut off; null where a JSON text could not say so. */
const lambda = z.custom<number | null>((value) => value === null || (typeof value === "number" && value < Number.POSITIVE_INFINITY));

/** Keys that configs keep of the scheduler that they were made from: whoever does not know them ignores them, as diffusers does. */
const others = Object.fromEntries(
  [
    ...["algorithm_type", "clip_sample", "clip_sample_range", "dynamic_thresholding_ratio", "euler_at_final", "final_sigmas_type"],
    ...["flow_shift", "interpolation_type", "lambda_min_clipped", "lower_order_final", "original_inference_steps", "prediction_type"],
    ...["rescale_betas_zero_snr", "sample_max_value", "set_alpha_to_one", "sigma_max", "sigma_min", "skip_prk_steps", "solver_order"],
    ...["solver_type", "steps_offset", "thresholding", "timestep_scaling", "timestep_spacing", "timestep_type", "use_flow_sigmas"],
    ...["use_lu_lambdas", "variance_type", ...Object.keys(betaKeys), ...Object.keys(flowKeys)],
  ].map((key) => [key, z.unknown().optional()]),
) as Record<never, never>;

/** Keys of every schedule of numbered steps. */
const discrete = { ...betaKeys, prediction_type: prediction, steps_offset: z.int().nonnegative().default(0) };
const zeroSnr = { rescale_betas_zero_snr: z.boolean().default(false) };
/** What is done to the clean image that each step predicts. */
const clipping = {
  clip_sample: z.boolean().default(true),
  clip_sample_range: z.number().positive().default(1),
  thresholding: z.literal(false).default(false),
};

/** Refuses a table of betas that is not one for each training step. */
function wholeTable(c: BetaConfig, context: z.RefinementCtx): void {
  if (!c.trained_betas || c.trained_betas.length === c.num_train_timesteps) return;
  context.addIssue({ code: "custom", path: ["trained_betas"], message: `num_train_timesteps is ${c.num_train_timesteps}` });
}

/** The schema of a scheduler of numbered steps with these keys beside those that all of them have. */
function discreteConfig<Keys extends z.ZodRawShape>(keys: Keys) {
  const schema = z.strictObject({ ...others, ...discrete, ...keys });
  return schema.superRefine((c, context) => wholeTable(c as BetaConfig, context));
}

/** Refuses two grids of levels at once. */
function oneGrid(c: { use_karras_sigmas: boolean | null; use_exponential_sigmas: boolean | null }, context: z.RefinementCtx): void {
  if (!c.use_karras_sigmas || !c.use_exponential_sigmas) return;
  context.addIssue({ code: "custom", path: ["use_exponential_sigmas"], message: "use_karras_sigmas is true as well" });
}

export const ddimConfig = discreteConfig({
  ...zeroSnr,
  ...clipping,
  timestep_spacing: spacing.default("leading"),
  set_alpha_to_one: z.boolean().default(true),
});
export type DdimConfig = z.infer<typeof ddimConfig>;

export const ddpmConfig = discreteConfig({
  ...zeroSnr,
  ...clipping,
  timestep_spacing: spacing.default("leading"),
  variance_type: z
    .enum(["fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log", "learned", "learned_range"])
    .default("fixed_small"),
});
export type DdpmConfig = z.infer<typeof ddpmConfig>;

export const pndmConfig = discreteConfig({
  prediction_type: z.enum(["epsilon", "v_prediction"]).default("epsilon"),
  timestep_spacing: spacing.default("leading"),
  set_alpha_to_one: z.boolean().default(false),
  skip_prk_steps: z.boolean().default(false),
});
export type PndmConfig = z.infer<typeof pndmConfig>;

export const lcmConfig = discreteConfig({
  ...zeroSnr,
  ...clipping,
  beta_start: z.number().default(0.00085),
  beta_end: z.number().default(0.012),
  beta_schedule: betaKeys.beta_schedule.default("scaled_linear"),
  clip_sample: z.boolean().default(false),
  original_inference_steps: z.int().positive().default(50),
  timestep_scaling: z.number().positive().default(10),
});
export type LcmConfig = z.infer<typeof lcmConfig>;

export const eulerConfig = discreteConfig({
  ...zeroSnr,
  timestep_spacing: spacing.default("linspace"),
  timestep_type: z.literal("discrete").default("discrete"),
  interpolation_type: z.literal("linear").default("linear"),
  final_sigmas_type: z.enum(["zero", "sigma_min"]).default("zero"),
  sigma_min: z.number().positive().nullable().default(null),
  sigma_max: z.number().positive().nullable().default(null),
  use_karras_sigmas: isUsed,
  use_exponential_sigmas: isUsed,
  use_beta_sigmas: unused,
}).superRefine(oneGrid);
export type EulerConfig = z.infer<typeof eulerConfig>;

export const ancestralConfig = discreteConfig({ ...zeroSnr, timestep_spacing: spacing.default("linspace") });
export type AncestralConfig = z.infer<typeof ancestralConfig>;

export const dpmConfig = discreteConfig({
  ...zeroSnr,
  timestep_spacing: spacing.default("linspace"),
  thresholding: z.literal(false).default(false),
  algorithm_type: z.enum(["dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++"]).default("dpmsolver++"),
  solver_order: z.int().min(1).max(3).default(2),
  solver_type: z.enum(["midpoint", "heun"]).default("midpoint"),
  lower_order_final: z.boolean().default(true),
  euler_at_final: z.boolean().default(false),
  final_sigmas_type: z.enum(["zero", "sigma_min"]).default("zero"),
  lambda_min_clipped: lambda.default(Number.NEGATIVE_INFINITY),
  variance_type: z.enum(["learned", "learned_range"]).nullable().default(null),
  use_karras_sigmas: isUsed,
  use_exponential_sigmas: isUsed,
  use_beta_sigmas: unused,
  use_lu_lambdas: unused,
  use_flow_sigmas: unused,
  use_dynamic_shifting: unused,
}).superRefine(oneGrid);
export type DpmConfig = z.infer<typeof dpmConfig>;

/**
 * Of schedulers whose steps are not walked here, whatever they are: the network's own table of levels and what it predicts, which their
 * other keys do not change. `start`, `end` and `schedule` are the class's defaults of its betas.
 */
export function tableConfig([start, end, schedule]: readonly [number, number, "linear" | "scaled_linear"]) {
  const own = ["predict_x0", "solver_p", "disable_corrector", "noise_sampler_seed", "use_karras_sigmas", "use_exponential_sigmas"];
  return discreteConfig({
    ...Object.fromEntries(own.map((key) => [key, z.unknown().optional()])),
    ...zeroSnr,
    beta_start: z.number().default(start),
    beta_end: z.number().default(end),
    beta_schedule: betaKeys.beta_schedule.default(schedule),
    use_flow_sigmas: unused,
  });
}
export type TableConfig = z.infer<ReturnType<typeof tableConfig>>;

export const flowConfig = z.strictObject({ ...others, ...flowKeys }).superRefine(oneGrid);
