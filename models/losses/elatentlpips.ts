/** E-LatentLPIPS: a perceptual distance of latents, averaged over random transforms (docs/METHODS.md 1.3). */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { AUGMENTATIONS, augmentation } from "./augment.ts";
import { featureDifference } from "./distance.ts";
import type { Parameters } from "../layers.ts";
import { type PerceptualConfig, perceptualTaps } from "./perceptual.ts";

/** Feature maps of latents [b, h, w, c]: each [b, h', w', c'] or tokens [b, n, c']. */
export type Features = (latents: Tensor) => Tensor[];

interface FeatureDistance {
  features: Features;
  a: Tensor;
  b: Tensor;
  draws?: Tensor;
  groups?: string;
}

/**
 * Ensembled feature distance of normalised latents a and b [batch, h, w, c], mean over the batch, a scalar:
 * E_T d(T(a), T(b)) with one transform T a sample, the same for both, from `draws` [batch, DRAW_SIZE]; no transform
 * where there are no draws. The fallback without a perceptual network passes the frozen teacher's features.
 */
export function featureDistance(options: FeatureDistance): Tensor {
  return tf.mean(featureDistances(options));
}

/** The same of each row, [batch]. */
export function featureDistances({ features, a, b, draws, groups = AUGMENTATIONS }: FeatureDistance): Tensor {
  const [, height, width] = a.shape as [number, number, number];
  const transform = draws ? augmentation(draws, [height, width], groups) : (x: Tensor): Tensor => x;
  return featureDifference(features(transform(a)), features(transform(b)));
}

/** The feature distance of `pretrain perceptual`'s network. */
export function eLatentLpips(options: {
  config: PerceptualConfig;
  parameters: Parameters;
  a: Tensor;
  b: Tensor;
  draws?: Tensor;
  groups?: string;
}): Tensor {
  const { config, parameters, ...rest } = options;
  return featureDistance({ features: (latents) => perceptualTaps(config, parameters, latents), ...rest });
}
