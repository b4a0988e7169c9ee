/** What our autoencoder is trained by: the pictures it gives back, and the spread of its latents. */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { type AutoencoderConfig, decode, encode } from "../codecs/autoencoder.ts";
import type { Parameters } from "../layers.ts";
import { featureDifference } from "./distance.ts";
import { absolute, structureLoss } from "./structure.ts";

/**
 * The training loss: reconstruction + perceptualWeight * perceptual + boundWeight * bound.
 * - `reconstruction`: mean absolute difference of images [b, h, w, 3] and their decoded latents.
 * - `perceptual`: edges and local structure at three scales (structure.ts), plus, where `features` is given, the
 *   distance of its maps [b, h, w, c] as in LPIPS.
 * - `bound`: KL divergence from N(0, 1) of a normal with the batch's mean and variance, mean over latent channels.
 *
 * `noise` [b, h / f, w / f, channels] is standard normal; config.noise times it is added before decoding.
 */
export function autoencoderLoss(options: {
  config: AutoencoderConfig;
  parameters: Parameters;
  images: Tensor;
  noise: Tensor;
  features?: (images: Tensor) => Tensor[];
}): { loss: Tensor; metrics: { reconstruction: Tensor; perceptual: Tensor; bound: Tensor } } {
  const { config, parameters, images, noise, features } = options;
  const latents = encode(config, parameters, images);
  const decoded = decode(config, parameters, tf.add(latents, tf.mul(noise, config.noise)));
  const reconstruction = tf.mean(absolute(tf.sub(decoded, images)));
  const structure = structureLoss(decoded, images);
  const perceptual = features ? tf.add(structure, tf.mean(featureDifference(features(decoded), features(images)))) : structure;
  const bound = boundLoss(latents);
  const loss = tf.addN([reconstruction, tf.mul(perceptual, config.perceptualWeight), tf.mul(bound, config.boundWeight)]);
  return { loss, metrics: { reconstruction, perceptual, bound } };
}

/** KL(N(mean, variance) || N(0, 1)) = (mean^2 + variance - 1 - ln variance) / 2, mean over the channels of z [b, h, w, c]. */
function boundLoss(z: Tensor): Tensor {
  const mean = tf.mean(z, [0, 1, 2]);
  const variance = tf.add(tf.mean(tf.square(tf.sub(z, mean)), [0, 1, 2]), 1e-6);
  return tf.mul(tf.mean(tf.sub(tf.add(tf.square(mean), variance), tf.add(tf.log(variance), 1))), 0.5);
}
