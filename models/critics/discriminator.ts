/**
 * The discriminator of Diffusion2GAN (Kang et al. 2024, section 3.3; docs/METHODS.md 1.4): the teacher's own network as trunk,
 * conditioned on class or caption as the teacher is, and on the paired noise through a layer that starts at zero.
 * Resized copies of the latent enter at coarser scales, and logits are read at every scale.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { badUsage, Failure } from "../../schemas/failure.ts";
import { numbers } from "../diffusion/arithmetic.ts";
import { type DenoiserSpec, ditConfig, unetConfig } from "../denoiser.ts";
import { applyBlock, embedCondition, embedPatches } from "../families/dit.ts";
import { createInitialiser, type Initialiser } from "../initialise.ts";
import { conv, downsample, layerNorm, linear, type Parameters, patchify, silu, spread } from "../layers.ts";
import { createParameterisation } from "../diffusion/parameterisation.ts";
import { unetFeatures } from "../families/unet.ts";

export interface DiscriminatorConfig {
  /** The teacher's specification. */
  spec: DenoiserSpec;
  /** DiT: how many of the teacher's first blocks form the trunk, each with its own heads. A U-Net is kept whole. */
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
const inputLayer = (scale: number): string => `discriminator.scales.${scale}`;
const noiseLayer = "discriminator.noise";

function coarseScales({ scales }: DiscriminatorConfig): number[] {
  return [...new Set(scales)].filter((scale) => scale > 1).sort((a, b) => a - b);
}

function trunkDepth({ spec, depth }: DiscriminatorConfig): number {
  return Math.min(depth, spec.network.depth);
}

/** U-Net levels that carry a scale. */
function unetLevels({ spec, scales }: DiscriminatorConfig): number[] {
  return scales.map((scale) => {
    const level = Math.log2(scale);
    if (Number.isInteger(level) && level < spec.network.multipliers.length) return level;
    throw badUsage(
      `Cannot read the discriminator's logits at scale ${scale}: a U-Net of ${spec.network.multipliers.length} levels has scales ${spec.network.multipliers.map((_, i) => 2 ** i).join(", ")}; change the discriminator's scales`,
    );
  });
}

/**
 * Initial weights: the trunk (with its condition embedding) copied from the teacher, the rest from `seed`. Logits start
 * near zero and do not depend on the noise.
 */
export function initDiscriminator({
  config,
  teacherWeights,
  seed,
}: {
  config: DiscriminatorConfig;
  teacherWeights: Weights;
  seed: number;
}): Weights {
  const init = createInitialiser(seed);
  const { spec } = config;
  const [height, width, channels] = spec.shape;
  if (spec.network.kind === "dit") {
    const { patch } = spec.network;
    const impossible = config.scales.find((scale) => (height / patch) % scale !== 0 || (width / patch) % scale !== 0);
    if (impossible !== undefined) {
      throw badUsage(
        `Cannot shrink a token grid of ${height / patch}x${width / patch} by ${impossible} in the discriminator: every one of its scales must divide the latent's side over network.patch`,
      );
    }
    const inputs = patch * patch * channels;
    init.linear(noiseLayer, inputs, spec.network.width, { gain: 0 });
    for (const scale of coarseScales(config)) init.linear(inputLayer(scale), inputs, spec.network.width, { gain: 0 });
    for (let i = 0; i < trunkDepth(config); i++) {
      for (const scale of config.scales) initHead(init, headName(i, scale), spec.network.width, spec.network.width);
    }
  } else {
    const { width: base, multipliers } = spec.network;
    const levels = unetLevels(config);
    init.conv(noiseLayer, 3, channels, base, { gain: 0 });
    // A level begins with the channels of the one before it; only the next block changes their number.
    for (const scale of coarseScales(config)) {
      init.conv(inputLayer(scale), 3, channels, base * (multipliers[Math.log2(scale) - 1] as number), { gain: 0 });
    }
    for (const level of levels) {
      const own = base * (multipliers[level] as number);
      // A level's last skip is the encoder's first feature there, still with the channels of the level before.
      const skip = base * (level === 0 ? 1 : (multipliers[level - 1] as number));
      for (const [place, inputs] of [
        ["before", own],
        ["at", own + skip],
        ["after", own],
      ] as const) {
        initHead(init, headName(place, 2 ** level), inputs, base);
      }
    }
  }
  return { ...trunkOf(config, teacherWeights), ...init.weights };
}

const headName = (place: number | string, scale: number): string => `discriminator.heads.${place}.${scale}`;

function initHead(init: Initialiser, name: string, inputs: number, width: number): void {
  init.linear(`${name}.in`, inputs, width);
  init.linear(`${name}.out`, width, 1, { gain: 0.1 });
}

/** Copies the teacher's weights that the trunk uses. */
function trunkOf(config: DiscriminatorConfig, teacher: Weights): Weights {
  const depth = trunkDepth(config);
  const used = (name: string): boolean => {
    if (name.startsWith("final.")) return false;
    const block = config.spec.network.kind === "dit" && /^blocks\.(\d+)\./.exec(name);
    return !block || Number(block[1]) < depth;
  };
  const trunk = Object.entries(teacher).filter(([name]) => used(name));
  const first = config.spec.network.kind === "dit" ? "patch.kernel" : "in.kernel";
  if (!teacher[first]) {
    throw new Failure(
      `Cannot start the discriminator from this teacher: its weights lack "${first}" of a ${config.spec.network.kind}; give the run of the teacher that made the store`,
    );
  }
  return Object.fromEntries(trunk.map(([name, { shape, data }]) => [name, { shape: [...shape], data: data.slice() }]));
}

/**
 * Logits of real (positive) against generated (negative): one tensor [b, positions] a head. x is a clean latent
 * [b, h, w, c] of standard deviation sigmaData, z its noise N(0, 1) [b, h, w, c], condition [b, width] as
 * `embedConditions` makes it from these same parameters. With a disturbance the trunk sees x + sigma noise, and is told so.
 */
export function applyDiscriminator(
  config: DiscriminatorConfig,
  parameters: Parameters,
  { x, z, condition, disturbance }: { x: Tensor; z: Tensor; condition?: Tensor; disturbance?: Disturbance },
): Tensor[] {
  const { network } = config.spec;
  const inputs = { z, condition, ...(disturbance ? disturbed(x, disturbance) : clean(config, x)) };
  return network.kind === "dit" ? ditLogits(config, parameters, inputs) : unetLogits(config, parameters, inputs);
}

function clean({ spec: { diffusion } }: DiscriminatorConfig, x: Tensor): Pick<TrunkInputs, "x" | "noiseLevel"> {
  const { cIn, cNoise } = createParameterisation(diffusion).precondition(RELATIVE_SIGMA * diffusion.sigmaData, numbers);
  return { x: tf.mul(x, cIn), noiseLevel: tf.fill([x.shape[0] as number], cNoise) as Tensor };
}

function disturbed(x: Tensor, { noise, sigma, cIn, cNoise }: Disturbance): Pick<TrunkInputs, "x" | "noiseLevel"> {
  return { x: tf.mul(tf.add(x, tf.mul(noise, spread(sigma))), spread(cIn)), noiseLevel: cNoise };
}

interface TrunkInputs {
  x: Tensor;
  z: Tensor;
  noiseLevel: Tensor;
  condition?: Tensor;
}

function ditLogits(config: DiscriminatorConfig, parameters: Parameters, { x, z, ...given }: TrunkInputs): Tensor[] {
  const dit = ditConfig(config.spec);
  const [height, width] = [dit.shape[0] / dit.patch, dit.shape[1] / dit.patch];
  const depth = trunkDepth(config);
  const asGrid = (tokens: Tensor, scale: number) => tf.reshape(tokens, [-1, height / scale, width / scale, dit.width]);
  const asTokens = (grid: Tensor) => tf.reshape(grid, [grid.shape[0] as number, -1, dit.width]);

  const vector = embedCondition(parameters, given.noiseLevel, given.condition);
  let tokens = tf.add(embedPatches(dit, parameters, x), linear(parameters, noiseLayer, patchify(z, dit.patch)));
  const logits: Tensor[] = [];
  for (let i = 0; i < depth; i++) {
    // The first coarse copy enters before block 1, the next before block 2; what is left over, before the last.
    for (const [k, scale] of coarseScales(config).entries()) {
      if (Math.min(k + 1, depth - 1) !== i) continue;
      const copy = linear(parameters, inputLayer(scale), patchify(downsample(x, scale), dit.patch));
      tokens = tf.add(tokens, asTokens(enlarge(asGrid(copy, scale), scale)));
    }
    tokens = applyBlock(dit, parameters, i, tokens, vector);
    const grid = asGrid(tokens, 1);
    for (const scale of config.scales) {
      logits.push(head(parameters, headName(i, scale), scale === 1 ? grid : downsample(grid, scale)));
    }
  }
  return logits;
}

function unetLogits(config: DiscriminatorConfig, parameters: Parameters, { x, z, ...given }: TrunkInputs): Tensor[] {
  const coarse = coarseScales(config);
  const inject = (level: number, features: Tensor): Tensor => {
    if (level === 0) return tf.add(features, conv(parameters, noiseLayer, z));
    const scale = 2 ** level;
    if (!coarse.includes(scale)) return features;
    return tf.add(features, conv(parameters, inputLayer(scale), downsample(x, scale)));
  };
  const { decoder } = unetFeatures(unetConfig(config.spec), parameters, { x, ...given, inject });
  const levels = unetLevels(config);
  return decoder
    .filter(({ level }) => levels.includes(level))
    .flatMap(({ level, ...features }) =>
      (["before", "at", "after"] as const).map((place) => head(parameters, headName(place, 2 ** level), features[place])),
    );
}

/** Two layers at every position: features [b, h, w, c] -> logits [b, h w]. */
function head(parameters: Parameters, name: string, features: Tensor): Tensor {
  const hidden = silu(linear(parameters, `${name}.in`, layerNorm(features)));
  return tf.reshape(linear(parameters, `${name}.out`, hidden), [features.shape[0] as number, -1]);
}

/** Nearest-neighbour enlargement by any whole factor: [b, h, w, c] -> [b, factor h, factor w, c]. */
function enlarge(x: Tensor, factor: number): Tensor {
  const [b, h, w, c] = x.shape as [number, number, number, number];
  const wide = tf.concat(Array<Tensor>(factor).fill(x), 3);
  const rows = tf.reshape(wide, [b, h, 1, factor * w * c]);
  return tf.reshape(tf.concat(Array<Tensor>(factor).fill(rows), 2), [b, factor * h, factor * w, c]);
}
