/**
 * YOSO's latent discriminator (docs/METHODS.md 2.2): the encoder of a denoiser, whole and trained, whose innermost features
 * are pooled by attention into one logit. It is told the noise level that a prediction was made from, and its condition.
 */
import { type Tensor, tf } from "../../engine/tfjs.ts";
import { copyWeights, type Weights } from "../../engine/weights.ts";
import { badUsage } from "../../schemas/failure.ts";
import { applyNetwork, type DenoiserSpec, embedConditions } from "../denoiser.ts";
import { numbers } from "../diffusion/arithmetic.ts";
import { createParameterisation } from "../diffusion/parameterisation.ts";
import type { Core, Trunk } from "../families/family.ts";
import { familyOf } from "../families/registry.ts";
import { createInitialiser } from "../initialise.ts";
import { attention, layerNorm, linear, type Parameters, silu, sinusoidal } from "../layers.ts";

export interface PooledConfig {
  /** Of the denoiser whose encoder it is. */
  spec: DenoiserSpec;
  /** How many of its first blocks form the encoder, where its family may be cut: a U-Net goes down to its middle. */
  depth: number;
}

/** What it judges: clean predictions x [b, h, w, c] with the level that they were made from, as c_noise [b], and condition inputs. */
export interface Judged {
  x: Tensor;
  noiseLevel: Tensor;
  given: Record<string, Tensor>;
}

export interface PooledCritic {
  /** Initial weights; the encoder and its condition embedding are those of the denoiser's `weights`. */
  init: (weights: Weights, seed: number) => Weights;
  /** Logits [b, 1] of real (positive) against generated. */
  logit: (parameters: Parameters, judged: Judged) => Tensor;
}

/** Heads of the attention that pools, and width of what is pooled: the published ones, or the most that the features have. */
const HEADS = 16;
const POOLED = 512;
const PARTS = ["query", "key", "value"] as const;
/** Features of the noise level, which modulates what is pooled: a trunk may say little of it. */
const LEVEL_FEATURES = 64;
/** The level whose input scale clean latents have, relative to sigmaData. */
const RELATIVE_SIGMA = 0.1;

/** A discriminator with one logit a row. Throws a usage failure for a network that cannot be a trunk. */
export function createPooledCritic({ spec, depth }: PooledConfig): PooledCritic {
  const { trunk, name } = familyOf(spec);
  if (!trunk) throw badUsage(`Cannot discriminate with a network of kind "${name}": it is no trunk`);
  const cut = trunk({ depth, scales: [1] });
  const core = coreOf(cut);
  const { width, heads } = pooling(core);
  const { cIn } = createParameterisation(spec.diffusion).precondition(RELATIVE_SIGMA * spec.diffusion.sigmaData, numbers);
  return {
    init: (weights, seed) => {
      const init = createInitialiser(seed);
      for (const part of PARTS) init.linear(`pooled.${part}`, core.channels, width);
      init.linear("pooled.out", width, width);
      init.linear("pooled.level", LEVEL_FEATURES, width);
      init.linear("pooled.modulation", width, 2 * width, { gain: 0 });
      init.linear("pooled.logit", width, 1, { gain: 0.1 });
      const used = Object.entries(weights).filter(([parameter]) => core.uses(parameter));
      return { ...copyWeights(Object.fromEntries(used)), ...init.weights };
    },
    logit: (parameters, { x, noiseLevel, given }) => {
      const condition = embedConditions(spec, parameters, given);
      let features: Tensor | undefined;
      const tap = (place: string, seen: Tensor): void => void (place === core.last && (features = cut.map(seen)));
      applyNetwork(spec, parameters, { x: tf.mul(x, cIn), noiseLevel, condition }, { tap, last: core.last });
      const inner = features as Tensor;
      const tokens = silu(layerNorm(tf.reshape(inner, [inner.shape[0] as number, -1, core.channels])));
      const mean = tf.mean(tokens, 1, true);
      const all = tf.concat([mean, tokens], 1);
      const [q, k, v] = [mean, all, all].map((of, i) => linear(parameters, `pooled.${PARTS[i]}`, of)) as [Tensor, Tensor, Tensor];
      const pooled = linear(parameters, "pooled.out", attention({ q, k, v, heads }));
      const level = silu(linear(parameters, "pooled.level", sinusoidal(noiseLevel, LEVEL_FEATURES)));
      const [scale, shift] = tf.split(linear(parameters, "pooled.modulation", level), 2, -1) as [Tensor, Tensor];
      const modulated = tf.add(tf.mul(tf.reshape(pooled, [-1, width]), tf.add(scale, 1)), shift);
      return linear(parameters, "pooled.logit", silu(modulated));
    },
  };
}

/** A trunk's innermost part; the whole of one that ends there. */
function coreOf({ core, last, uses, heads }: Trunk): Core {
  if (core) return core;
  const head = heads.find(({ place }) => place === last);
  if (!head) throw new Error(`Cannot pool the features of "${last}": no head of the trunk stands there, so their channels are not known`);
  return { last, uses, channels: head.channels };
}

/** The width of what is pooled, and the most heads up to {@link HEADS} that divide it into parts of eight channels or more. */
function pooling({ channels }: Core): { width: number; heads: number } {
  const width = Math.min(POOLED, channels);
  let heads = Math.max(1, Math.min(HEADS, Math.floor(width / 8)));
  while (width % heads !== 0) heads--;
  return { width, heads };
}
