/**
 * The perceptual network: a small VGG-like classifier of latents, trained on the ingested data (docs/METHODS.md 1.2 trains
 * VGG16 on ImageNet's latents). Stages of two 3x3 convolutions at the latent's own resolution and halves of it; the
 * maps after each stage are the taps that E-LatentLPIPS compares.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { augment } from "./augment.ts";
import { createInitialiser } from "../initialise.ts";
import { conv, downsample, linear, type Parameters } from "../layers.ts";

export interface PerceptualConfig {
  /** Latent shape, [height, width, channels]. */
  shape: readonly [number, number, number];
  /** Channels of the first stage; each further stage has twice as many. */
  width: number;
  stages: number;
  /** Standard deviation of the latents it is given; they are divided by it. */
  sigmaData: number;
  /** Labels, told apart by softmax; 0: none. */
  classes: number;
  /** Caption words, each recognised by itself; empty: none. */
  words: readonly string[];
}

/** A perceptual network for latents of `shape`: three stages where the sides halve often enough, fewer otherwise. */
export function perceptualConfig(options: Omit<PerceptualConfig, "stages">): PerceptualConfig {
  const [height, width] = options.shape;
  let stages = 1;
  const halves = (side: number): boolean => side % 2 ** stages === 0 && side / 2 ** stages >= 2;
  while (stages < 3 && halves(height) && halves(width)) stages++;
  return { ...options, stages };
}

/** Initial weights (He et al. 2015: std sqrt(2 / fan-in)); the classifier starts undecided. */
export function initPerceptual(config: PerceptualConfig, seed: number): Weights {
  const init = createInitialiser(seed);
  let inputs = config.shape[2];
  for (let i = 0; i < config.stages; i++) {
    const width = config.width * 2 ** i;
    init.conv(`stages.${i}.in`, 3, inputs, width, { gain: Math.SQRT2 });
    init.conv(`stages.${i}.out`, 3, width, width, { gain: Math.SQRT2 });
    inputs = width;
  }
  init.linear("head", inputs, config.classes + config.words.length, { gain: 0 });
  return init.weights;
}

/** The taps alone: latents [b, h, w, c] to maps [b, h, w, width], [b, h / 2, w / 2, 2 width], ... */
export function perceptualTaps(config: PerceptualConfig, parameters: Parameters, latents: Tensor): Tensor[] {
  const taps: Tensor[] = [];
  let x = tf.mul(latents, 1 / config.sigmaData);
  for (let i = 0; i < config.stages; i++) {
    if (i > 0) x = downsample(x);
    x = tf.relu(conv(parameters, `stages.${i}.in`, x));
    x = tf.relu(conv(parameters, `stages.${i}.out`, x));
    taps.push(x);
  }
  return taps;
}

/** Logits [b, classes + words] and taps of normalised latents [b, h, w, c]. */
export function applyPerceptual(config: PerceptualConfig, parameters: Parameters, latents: Tensor): { logits: Tensor; taps: Tensor[] } {
  const taps = perceptualTaps(config, parameters, latents);
  return { logits: linear(parameters, "head", tf.mean(taps.at(-1) as Tensor, [1, 2])), taps };
}

/**
 * The training loss: cross-entropy of the class plus mean binary cross-entropy of the words.
 * `targets` [b, classes + words] is one-hot in its first part and 0 or 1 in its second. `draws`, where given, augment
 * the latents, so that features keep their meaning under the augmentations of E-LatentLPIPS.
 * Metrics: `accuracy` of the class and `f1` of the words at probability 1/2 (each 0 where there are none).
 */
export function perceptualLoss(options: {
  config: PerceptualConfig;
  parameters: Parameters;
  latents: Tensor;
  targets: Tensor;
  draws?: Tensor;
}): { loss: Tensor; metrics: { accuracy: Tensor; f1: Tensor } } {
  const { config, parameters, latents, targets, draws } = options;
  const { logits } = applyPerceptual(config, parameters, draws ? augment(latents, draws) : latents);
  const sizes = [config.classes, config.words.length];
  const parts = (x: Tensor): Tensor[] => (sizes.includes(0) ? [x, x] : tf.split(x, sizes, 1));
  const [[labels, words], [label, word]] = [parts(logits), parts(targets)] as [[Tensor, Tensor], [Tensor, Tensor]];
  const zero = tf.scalar(0);
  const [category, spoken] = [config.classes > 0, config.words.length > 0];
  return {
    loss: tf.add(category ? softmaxLoss(labels, label) : zero, spoken ? sigmoidLoss(words, word) : zero),
    metrics: { accuracy: category ? accuracy(labels, label) : zero, f1: spoken ? f1(words, word) : zero },
  };
}

/** -ln of the class's probability, which counts as 1e-9 at least. */
function softmaxLoss(logits: Tensor, oneHot: Tensor): Tensor {
  return tf.neg(tf.mean(tf.sum(tf.mul(tf.log(tf.add(tf.softmax(logits), 1e-9)), oneHot), 1)));
}

/** -t ln p - (1 - t) ln (1 - p) with p = sigmoid(x) is softplus(x) - t x. */
function sigmoidLoss(logits: Tensor, targets: Tensor): Tensor {
  return tf.mean(tf.sub(tf.softplus(logits), tf.mul(targets, logits)));
}

function accuracy(logits: Tensor, oneHot: Tensor): Tensor {
  return tf.mean(tf.cast(tf.equal(tf.argMax(logits, 1), tf.argMax(oneHot, 1)), "float32"));
}

function f1(logits: Tensor, targets: Tensor): Tensor {
  const found = tf.cast(tf.greater(logits, 0), "float32");
  const hits = tf.sum(tf.mul(found, targets));
  return tf.div(tf.mul(hits, 2), tf.maximum(tf.add(tf.sum(found), tf.sum(targets)), 1));
}
