/** What an image tokenizer is trained by. */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Parameters } from "../layers.ts";
import { squaredError } from "../losses/difference.ts";
import { absolute } from "../losses/structure.ts";
import { decodeCodes, encodeToVectors, type ImageTokenizerConfig } from "./image-tokenizer.ts";
import { codebookOf, entropyDifference, quantised } from "./quantise.ts";

export interface TokenizerWeights {
  reconstruction: "squared" | "absolute";
  commitment: number;
  perceptualWeight: number;
  entropyWeight: number;
}

/**
 * Over latents [b, h, w, c] in the model's scale: reconstruction + codebook + commitment * beta, plus perceptualWeight times the
 * distance `between` where one is given, plus entropyWeight times the difference of entropies (0 in LlamaGen). Differences of
 * latents are in units of sigmaData, so that weights mean the same whatever it is.
 */
export function tokenizerLoss(options: {
  config: ImageTokenizerConfig;
  parameters: Parameters;
  latents: Tensor;
  weights: TokenizerWeights;
  between?: (decoded: Tensor, latents: Tensor) => Tensor;
}): { loss: Tensor; metrics: Record<string, Tensor> } {
  const { config, parameters, latents, weights, between } = options;
  const vectors = encodeToVectors(config, parameters, latents);
  const book = codebookOf(parameters);
  const { codes, commitment, codebook, used, perplexity } = quantised(vectors, book);
  const decoded = decodeCodes(config, parameters, codes);
  const [a, b] = [decoded, latents].map((x) => tf.mul(x, 1 / config.sigmaData)) as [Tensor, Tensor];
  const reconstruction = weights.reconstruction === "squared" ? squaredError(a, b) : tf.mean(absolute(tf.sub(a, b)));
  const perceptual = between?.(decoded, latents);
  const terms = [reconstruction, codebook, tf.mul(commitment, weights.commitment)];
  if (perceptual) terms.push(tf.mul(perceptual, weights.perceptualWeight));
  if (weights.entropyWeight > 0) terms.push(tf.mul(entropyDifference(vectors, book), weights.entropyWeight));
  return { loss: tf.addN(terms), metrics: { reconstruction, ...(perceptual && { perceptual }), commitment, used, perplexity } };
}
