/** One token from its logits. */
import type { TokenSampler } from "../../schemas/model.ts";

/** Classifier-free guidance on logits: l_u + scale (l_c - l_u). */
export function guidedLogits(conditional: Float32Array, unconditional: Float32Array, scale: number): Float32Array {
  return conditional.map((value, i) => (unconditional[i] as number) + scale * (value - (unconditional[i] as number)));
}

/**
 * The token at which the summed probabilities of the candidates pass `u` in [0, 1): softmax of logits / temperature, over the
 * `topK` likeliest where that is not 0 (of equal ones the first). Temperature 0 takes the likeliest.
 */
export function drawToken(logits: Float32Array, u: number, { topK, temperature }: Omit<TokenSampler, "guidance">): number {
  const candidates = likeliest(logits, temperature === 0 ? 1 : topK);
  if (candidates.length === 1) return candidates[0] as number;
  const most = candidates.reduce((best, i) => Math.max(best, logits[i] as number), Number.NEGATIVE_INFINITY);
  const weights = candidates.map((i) => Math.exp(((logits[i] as number) - most) / temperature));
  let left = u * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [at, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return candidates[at] as number;
  }
  return candidates.at(-1) as number; // rounding
}

/** The indices of the `count` greatest values in rising order; of all where count is 0. */
function likeliest(logits: Float32Array, count: number): number[] {
  const all = Array.from(logits.keys());
  if (count === 0 || count >= logits.length) return all;
  const sorted = all.sort((a, b) => (logits[b] as number) - (logits[a] as number) || a - b);
  return sorted.slice(0, count).sort((a, b) => a - b);
}
