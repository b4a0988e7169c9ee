/**
 * The discriminator of Diffusion2GAN (Kang et al. 2024, section 3.3; docs/METHODS.md 1.4): the teacher's own network as trunk,
 * conditioned on class or caption as the teacher is, and on the paired noise through a layer that starts at zero.
 * Resized copies of the latent enter at coarser scales, and logits are read at every scale: where, its family says.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { copyWeights, type Weights } from "../../engine/weights.ts";
import { badUsage, Failure } from "../../schemas/failure.ts";
import { numbers } from "../diffusion/arithmetic.ts";
import { applyNetwork, type DenoiserSpec, type Embedded } from "../denoiser.ts";
import { createParameterisation } from "../diffusion/parameterisation.ts";
import type { Entrance, Trunk } from "../families/family.ts";
import { familyOf } from "../families/registry.ts";
import { createInitialiser } from "../initialise.ts";
import { downsample, layerNorm, linear, type Parameters, silu, spread } from "../layers.ts";

export interface DiscriminatorConfig {
  /** The teacher's specification. */
  spec: DenoiserSpec;
  /** How many of the teacher's first blocks form the trunk, where its family may be cut: a U-Net is kept whole. */
  depth: number;
  /** Scales of inputs and outputs: the latent's side, or the token grid's, divided by these. 1 is always an input. */
  scales: readonly number[];
}

/**
 * The noise level the trunk is told of clean latents, relative to sigmaData: at its very lowest levels the teacher was
 * hardly trained.
 */
const RELATIVE_SIGMA = 0.1;

/** Noise that the latents are judged under, as in LADD (docs/METHODS.md 9.9): unit normals [b, h, w, c], and their levels [b]. */
export interface Disturbance {
  noise: Tensor;
  sigma: Tensor;
  /** Coefficients of the teacher's parameterisation at these levels. */
  cIn: Tensor;
  cNoise: Tensor;
}

/** Parameters of the discriminator that start silent: the noise's and the resized copies' ways in. */
const copyLayer = ({ scale }: Entrance): string => `discriminator.scales.${scale}`;
const noiseLayer = "discriminator.noise";
const headLayer = (name: string): string => `discriminator.heads.${name}`;

function trunkOf({ spec, depth, scales }: DiscriminatorConfig): Trunk {
  const { trunk, name } = familyOf(spec);
  if (trunk) return trunk({ depth, scales });
  throw notATrunk(name);
}

/** The usage failure of a network kind that cannot serve as a discriminator. */
export function notATrunk(kind: string): Failure {
  return badUsage(
    `Cannot discriminate with the teacher's network: kind "${kind}" is no trunk; ` +
      "let heads read frozen features instead (discriminator=features)",
  );
}

/**
 * Initial weights: the trunk (with its condition embedding) copied from the teacher, the rest from `seed`. Logits start
 * near zero and do not depend on the noise.
 */
export function initDiscriminator(options: { config: DiscriminatorConfig; teacherWeights: Weights; seed: number }): Weights {
  const { config, teacherWeights, seed } = options;
  const init = createInitialiser(seed);
  const { noise, copies, heads, first, uses } = trunkOf(config);
  noise.init(init, noiseLayer);
  for (const copy of copies) copy.init(init, copyLayer(copy));
  for (const { name, channels, width } of heads) {
    init.linear(`${headLayer(name)}.in`, channels, width);
    init.linear(`${headLayer(name)}.out`, width, 1, { gain: 0.1 });
  }
  if (!teacherWeights[first]) {
    throw new Failure(
      `Cannot start the discriminator from this teacher: its weights lack "${first}" of a ${config.spec.network.kind}; ` +
        "give the run of the teacher that made the store",
    );
  }
  const used = Object.entries(teacherWeights).filter(([name]) => uses(name));
  return { ...copyWeights(Object.fromEntries(used)), ...init.weights };
}

/**
 * Logits of real (positive) against generated (negative): one tensor [b, positions] a head. x is a clean latent
 * [b, h, w, c] of standard deviation sigmaData, z its noise N(0, 1) [b, h, w, c], condition as `embedConditions`
 * makes it from these same parameters. With a disturbance the trunk sees x + sigma noise, and is told so.
 */
export function applyDiscriminator(
  config: DiscriminatorConfig,
  parameters: Parameters,
  { x, z, condition, disturbance }: { x: Tensor; z: Tensor; condition?: Embedded; disturbance?: Disturbance },
): Tensor[] {
  const seen = shown(config.spec, x, disturbance);
  const { noise, copies, heads, last, map } = trunkOf(config);
  const inject = (place: string, features: Tensor): Tensor => {
    const noisy = place === noise.place ? tf.add(features, noise.apply(parameters, noiseLayer, z)) : features;
    const here = copies.filter((copy) => copy.place === place);
    return here.reduce((sum, copy) => tf.add(sum, copy.apply(parameters, copyLayer(copy), downsample(seen.x, copy.scale))), noisy);
  };
  // Maps are taken on the way and judged at the end: the order of the sums in a gradient, and its last bits, depend on it.
  const maps = new Map<string, Tensor>();
  const tap = (place: string, features: Tensor): void => {
    if (heads.some((head) => head.place === place)) maps.set(place, map(features));
  };
  applyNetwork(config.spec, parameters, { ...seen, condition }, { tap, inject, last });
  return [...maps].flatMap(([place, features]) =>
    heads
      .filter((head) => head.place === place)
      .map(({ name, shrink }) => headLogits(parameters, headLayer(name), shrink === 1 ? features : downsample(features, shrink))),
  );
}

/** What a network is shown of latents, and told of their noise. */
type Seen = { x: Tensor; noiseLevel: Tensor };

/** Clean latents [b, h, w, c] as the teacher's network is shown them: under noise where there is a disturbance. */
export function shown(spec: DenoiserSpec, x: Tensor, disturbance?: Disturbance): Seen {
  return disturbance ? disturbed(x, disturbance) : clean(spec, x);
}

function clean({ diffusion }: DenoiserSpec, x: Tensor): Seen {
  const { cIn, cNoise } = createParameterisation(diffusion).precondition(RELATIVE_SIGMA * diffusion.sigmaData, numbers);
  return { x: tf.mul(x, cIn), noiseLevel: tf.fill([x.shape[0] as number], cNoise) as Tensor };
}

function disturbed(x: Tensor, { noise, sigma, cIn, cNoise }: Disturbance): Seen {
  return { x: tf.mul(tf.add(x, tf.mul(noise, spread(sigma))), spread(cIn)), noiseLevel: cNoise };
}

/** Two layers at every position: features [b, h, w, c] -> logits [b, h w]. */
function headLogits(parameters: Parameters, name: string, features: Tensor): Tensor {
  const hidden = silu(linear(parameters, `${name}.in`, layerNorm(features)));
  return tf.reshape(linear(parameters, `${name}.out`, hidden), [features.shape[0] as number, -1]);
}
