import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Preconditioning } from "./parameterisation.ts";

/** A raw network F over a batch, its condition already held: x [b, h, w, c], noiseLevel c_noise [b] -> [b, h, w, c]. */
export type Network = (inputs: { x: Tensor; noiseLevel: Tensor }) => Tensor;

/**
 * The denoiser D = cSkip x + cOut F(cIn x, cNoise) around a raw network: x [b, h, w, c] -> clean [b, h, w, c].
 * Each coefficient is a number, a scalar of shape [1], or one value per sample [b].
 */
export function denoise({
  x,
  coefficients,
  network,
}: {
  x: Tensor;
  coefficients: Preconditioning<Tensor | number>;
  network: Network;
}): Tensor {
  const batch = x.shape[0] as number;
  const perSample = (coefficient: Tensor | number) =>
    typeof coefficient === "number" ? coefficient : tf.reshape(coefficient, [-1, ...x.shape.slice(1).map(() => 1)]);
  const noiseLevel = tf.mul(tf.ones([batch]), coefficients.cNoise);
  const prediction = network({ x: tf.mul(x, perSample(coefficients.cIn)), noiseLevel });
  return tf.add(tf.mul(x, perSample(coefficients.cSkip)), tf.mul(prediction, perSample(coefficients.cOut)));
}
