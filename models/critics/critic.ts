/**
 * A discriminator of one of two kinds, or both at once: the teacher's own network as trunk with heads (Diffusion2GAN), and
 * heads over the frozen features of a perceptual network (Projected GAN, D2O).
 */
import type { Tensor } from "../../engine/tfjs.ts";
import { tf } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { conditionWidth, type DenoiserSpec, embedConditions, encoderWeights } from "../denoiser.ts";
import { type Parameters, spread } from "../layers.ts";
import type { PerceptualConfig } from "../losses/perceptual.ts";
import { applyDiscriminator, type Disturbance, initDiscriminator } from "./discriminator.ts";
import { applyProjected, initProjected } from "./projected.ts";

/** What a discriminator sees: latents x [batch, h, w, c], their noise, and `paired` [batch], 1 where the noise may be seen. */
export interface Seen {
  x: Tensor;
  noise: Tensor;
  paired: Tensor;
  /** Noise that the trunk sees latents under. */
  disturbance?: Disturbance;
  /** Condition inputs, as `conditionInputs` declares them. */
  given: Record<string, Tensor>;
}

export interface Critic {
  /** Initial weights; the trunk and the condition embedding are the teacher's. */
  init: (teacher: Weights, seed: number) => Weights;
  /** Logits of every head, each [b, positions]: `features` are the frozen perceptual network's, where heads read them. */
  logits: (parameters: Parameters, seen: Seen, features: Parameters) => Tensor[];
}

/** Channels of the heads over frozen features. */
const HEAD_WIDTH = 64;

/** A critic of latents. `trunk` and `features` say which kinds of heads it has: at least one of them. */
export function createCritic(options: {
  spec: DenoiserSpec;
  /** Depth of the teacher's network that is kept (DiT), and the scales of inputs and outputs. */
  trunk?: { depth: number; scales: readonly number[] };
  /** The perceptual network whose features heads read. */
  features?: PerceptualConfig;
}): Critic {
  const { spec, trunk, features } = options;
  const config = trunk && { spec, ...trunk };
  const condition = conditionWidth(spec);
  return {
    init: (teacher, seed) => ({
      // Heads without a trunk start from the teacher's condition embedding too.
      ...(config ? initDiscriminator({ config, teacherWeights: teacher, seed }) : encoderWeights(spec, teacher)),
      ...(features && initProjected({ config: features, width: HEAD_WIDTH, condition, seed })),
    }),
    logits: (parameters, { x, noise, paired, given, disturbance }, read) => {
      const of = { x, condition: embedConditions(spec, parameters, given) };
      const z = tf.mul(noise, spread(paired));
      return [
        ...(config ? applyDiscriminator(config, parameters, { ...of, z, disturbance }) : []),
        ...(features ? applyProjected(features, { heads: parameters, features: read }, of) : []),
      ];
    },
  };
}

/** What a discriminator sees of latents that belong to no noise. */
export type UnpairedSeen = Omit<Seen, "noise" | "paired">;

/** A critic of such latents, by the teacher's network alone; it is used as {@link Critic} is. */
export interface UnpairedCritic {
  init: Critic["init"];
  logits: (parameters: Parameters, seen: UnpairedSeen) => Tensor[];
}

/** The critic whose trunk is the teacher's network, of which `depth` blocks are kept (DiT), with heads of one scale. */
export function createUnpairedCritic({ spec, depth }: { spec: DenoiserSpec; depth: number }): UnpairedCritic {
  const { init, logits } = createCritic({ spec, trunk: { depth, scales: [1] } });
  const withoutNoise = (x: Tensor) => ({ x, noise: tf.zerosLike(x), paired: tf.zeros([x.shape[0] as number]) });
  return { init, logits: (parameters, seen) => logits(parameters, { ...seen, ...withoutNoise(seen.x) }, {}) };
}

/**
 * What a discriminator thinks, means over heads: logits of real latents, of generated ones and of mismatched ones (where
 * `mask` [b] is 1), and the share of rows it tells right (the mean logit of a row above 0 for real, below for the others).
 */
export function verdicts({ real, mixed, mask }: { real: Tensor[]; mixed: Tensor[]; mask: Tensor }): Parameters {
  const [realRows, mixedRows] = [ofRows(real), ofRows(mixed)];
  const over = (rows: Tensor, chosen: Tensor): Tensor => tf.div(tf.sum(tf.mul(rows, chosen)), tf.maximum(tf.sum(chosen), 1));
  return {
    real: tf.mean(realRows),
    fake: over(mixedRows, tf.sub(1, mask)),
    mismatched: over(mixedRows, mask),
    accuracy: tf.div(tf.add(right(realRows), right(tf.neg(mixedRows))), 2),
  };
}

/** The same of a discriminator that is shown no mismatched rows. */
export function verdictsOf({ real, fake }: { real: Tensor[]; fake: Tensor[] }): Parameters {
  const [realRows, fakeRows] = [ofRows(real), ofRows(fake)];
  return {
    real: tf.mean(realRows),
    fake: tf.mean(fakeRows),
    accuracy: tf.div(tf.add(right(realRows), right(tf.neg(fakeRows))), 2),
  };
}

/** Mean logit of each row over heads and their positions, [b]. */
const ofRows = (logits: Tensor[]): Tensor => tf.div(tf.addN(logits.map((logit) => tf.mean(logit, 1))), logits.length);

const right = (rows: Tensor): Tensor => tf.mean(tf.cast(tf.greater(rows, 0), "float32"));
