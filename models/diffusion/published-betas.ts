/**
 * Signal left after each training step of a published scheduler, in float32 as PyTorch computes it: near the clean end 1 minus it keeps
 * few digits, so noise levels agree with the published ones only where every rounding does.
 */
import * as z from "zod";

const f32 = Math.fround;

/** Keys of a scheduler's config that decide its betas. */
export const betaKeys = {
  num_train_timesteps: z.int().positive().default(1000),
  beta_start: z.number().default(0.0001),
  beta_end: z.number().default(0.02),
  beta_schedule: z.enum(["linear", "scaled_linear", "squaredcos_cap_v2"]).default("linear"),
  trained_betas: z.array(z.number()).min(1).nullable().default(null),
};
const schema = z.object(betaKeys);
export type BetaConfig = z.infer<typeof schema>;

/** Noise added by each training step; trained_betas where the config lists them. */
export function betas(c: BetaConfig): Float32Array {
  const { num_train_timesteps: count, beta_start: start, beta_end: end } = c;
  if (c.trained_betas) return Float32Array.from(c.trained_betas);
  if (c.beta_schedule === "linear") return even(start, end, count);
  if (c.beta_schedule === "scaled_linear") return even(Math.sqrt(start), Math.sqrt(end), count).map((root) => root * root);
  const signal = (time: number) => Math.cos((((time + 0.008) / 1.008) * Math.PI) / 2) ** 2; // Nichol & Dhariwal 2021, eq. 17
  return Float32Array.from({ length: count }, (_, i) => Math.min(1 - signal((i + 1) / count) / signal(i / count), 0.999));
}

/** `count` numbers from start to end, as torch.linspace lays them out: from both ends to the middle, each rounded once. */
function even(start: number, end: number, count: number): Float32Array {
  const [first, last] = [f32(start), f32(end)];
  const step = f32(f32(last - first) / (count - 1));
  const half = Math.floor(count / 2);
  return Float32Array.from({ length: count }, (_, i) => (i < half ? first + step * i : last - step * (count - 1 - i)));
}

/** Cumulative products of 1 - beta: what is left of a clean image's power after each training step. */
export function cumulativeProducts(noise: Float32Array): Float32Array {
  let product = 1; // PyTorch keeps it in float64 as well
  return noise.map((beta) => {
    product *= f32(1 - beta);
    return product;
  });
}

/** The betas changed so that nothing is left after the last step (Lin et al. 2024, algorithm 1). */
export function withoutTerminalSignal(noise: Float32Array): Float32Array {
  const roots = cumulativeProducts(noise).map(Math.sqrt);
  const [first, last] = [roots[0] as number, roots[roots.length - 1] as number];
  const factor = f32(first / f32(first - last));
  const products = roots.map((root) => f32(f32(root - last) * factor) ** 2);
  return products.map((product, i) => 1 - f32(i === 0 ? product : product / (products[i - 1] as number)));
}

/** Noise level s / alpha of what is left of the power; infinite where nothing is. */
export function sigmaOf(product: number): number {
  return f32(Math.sqrt(f32(f32(1 - product) / product)));
}
