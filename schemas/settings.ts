/**
 * Every setting of every command, with its default and the reason for it. One schema, so that a value means the same
 * in a preset, a `--config` file, a `--set` flag and the `settings.yaml` written beside each output.
 */
import * as z from "zod";

const count = z.int().positive();
const rate = z.number().positive();
const fraction = z.number().min(0).max(1);
const noiseRange = z
  .tuple([z.number().nonnegative(), z.number().nonnegative()])
  .refine(
    ([least, most]) => (least > 0 && least <= most) || (least === 0 && most === 0),
    "two levels above 0, the lesser first, or [0, 0]",
  );
const seed = z.int().nonnegative();

export const imageSettings = z.strictObject({
  size: count.default(64), // side of the square every image is cropped and resized to, in pixels
  background: z
    .string()
    .regex(/^#[0-9a-f]{6}$/i)
    .default("#ffffff"), // transparent pixels are flattened onto this colour
  maxEntries: count.default(1_000_000), // limits against hostile archives, checked before anything is allocated
  maxEntryBytes: count.default(64 * 2 ** 20),
  maxTotalBytes: count.default(200 * 2 ** 30),
  maxRatio: count.default(200), // inflated size over packed size of one entry, checked above 1 MiB
  maxPixels: count.default(64_000_000),
});

export const encoderSettings = z.strictObject({
  kind: z.enum(["pixel", "autoencoder", "taesd"]).default("pixel"), // pixel: RGB scaled to [-1, 1], for 28-32 px
  path: z.string().optional(), // autoencoder: a RUN folder; taesd: a folder or file prefix with *_encoder/_decoder.safetensors
  batch: count.default(16),
  rowsPerShard: count.default(256), // of a latent store: a shard is held in memory while it is encoded
});

export const networkSettings = z.strictObject({
  kind: z.enum(["dit", "unet"]).default("dit"),
  patch: count.default(2), // DiT: side of a patch in latent pixels
  width: count.default(128), // DiT: token width; U-Net: channels of the first level
  depth: count.default(6), // DiT: blocks; U-Net: residual blocks a level
  heads: count.default(4),
  multipliers: z.array(count).default([1, 2, 2]), // U-Net: channels of each level, relative to width
  attentionLevels: z.array(z.int().nonnegative()).default([1]), // U-Net: levels with self-attention
  condition: z.enum(["none", "class", "caption"]).default("class"),
  vocabulary: count.default(512), // caption: word pieces learned from the captions
  captionTokens: count.default(24), // caption: longest caption, in word pieces
  textDepth: count.default(2), // caption: transformer blocks of the text encoder
});

export const diffusionSettings = z.strictObject({
  parameterisation: z.enum(["edm", "flow", "vp-epsilon", "vp-v"]).default("edm"),
  sigmaData: rate.default(0.5), // latents are scaled to this standard deviation
  sigmaMin: rate.default(0.002), // Karras et al. 2022, table 1
  sigmaMax: rate.default(80),
  rho: rate.default(7),
  logSigmaMean: z.number().default(-1.2), // training noise levels: ln sigma ~ N(mean, std^2)
  logSigmaStd: rate.default(1.2),
});

export const optimiserSettings = z.strictObject({
  steps: count.default(8000),
  batch: count.default(64),
  accumulate: count.default(1), // micro-batches a batch is taken in, to save memory: a divisor of batch
  learningRate: rate.default(1e-3),
  warmup: z.int().nonnegative().default(200),
  decay: fraction.default(0.3), // last share of the steps over which the rate falls linearly to zero (0: constant)
  beta1: fraction.default(0.9),
  beta2: fraction.default(0.99),
  weightDecay: z.number().nonnegative().default(0.01),
  clip: rate.default(1), // global gradient norm
  ema: fraction.default(0.999), // exponential moving average of the weights, per step
  checkpointEvery: count.default(1000), // steps
  pictureEvery: count.default(1000), // steps
});

/** Of an online Fréchet distance, and what is done about it; `distanceEvery` stands beside. */
const watchSettings = {
  distanceCount: count.default(1024), // samples of each, whose noise and conditions are always the same
  distanceFeatures: z.string().default("auto"), // as evaluate.features; more than 128 are seen along 128 random directions
  keep: z.enum(["best", "last"]).default("best"), // best: what is written is the moving average of the least online distance
  patience: z.int().nonnegative().default(0), // distances in a row without a lesser one after which training ends; 0: never
};

export const pretrainSettings = z.strictObject({
  teacher: optimiserSettings
    .extend({
      dropCondition: fraction.default(0.1), // share of samples that train the unconditional prediction of guidance
      from: z.string().optional(), // RUN of an earlier teacher of the same shape, whose weights to start from
      distanceEvery: z.int().nonnegative().default(0), // steps between online Fréchet distances of samples made as simulate.*; 0: none
      ...watchSettings,
    })
    .prefault({}),
  autoencoder: optimiserSettings
    .extend({
      channels: count.default(4), // latent channels
      downsample: z.union([z.literal(2), z.literal(4), z.literal(8)]).default(4), // image side over latent side
      width: count.default(48), // channels at half resolution
      perceptualWeight: z.number().nonnegative().default(0.5),
      boundWeight: z.number().nonnegative().default(1e-4), // pulls latents towards N(0, 1)
    })
    .prefault({}),
  perceptual: optimiserSettings.extend({ width: count.default(32) }).prefault({}),
});

export const simulateSettings = z.strictObject({
  count: count.default(10_000), // triples
  steps: count.default(18), // Heun: 2 * steps - 1 evaluations
  solver: z.enum(["euler", "heun", "ddim", "dpm++2m"]).default("heun"),
  guidance: z.number().nonnegative().default(1), // classifier-free guidance scale; 1 is none
  batch: count.default(64),
  rowsPerShard: count.default(512),
  noise: z.enum(["derived", "stored"]).default("derived"), // derived: not stored, recomputed from the seed on reading
  dtype: z.enum(["float32", "float16"]).default("float32"),
  threads: z.int().nonnegative().default(0), // of the sampler's engine; 0: engine.threads, in `run` half of them
});

export const trainSettings = optimiserSettings.extend({
  from: z.string().optional(), // RUN of an earlier student of such a teacher, to start from; its discriminator too, where it is of the same kind
  learningRate: rate.default(2e-4),
  ema: fraction.default(0.998),
  perceptualWeight: z.number().nonnegative().default(1), // E-LatentLPIPS
  augment: z.boolean().default(true), // E-LatentLPIPS: both latents under the same random transform; false: LatentLPIPS
  pixelWeight: z.number().nonnegative().default(0.1), // plain latent difference
  pixelLoss: z.enum(["huber", "squared"]).default("huber"),
  perceptual: z.string().optional(), // RUN of `pretrain perceptual`; without it the frozen teacher's features serve
  images: z.string().optional(), // latent store of the real images: the discriminator sees them too (imageShare)
  imageShare: fraction.default(0.5), // share of the discriminator's real rows that are such images, without their noise
  adversarialWeight: z.number().nonnegative().default(0.05),
  adversarialStart: z.int().nonnegative().default(500), // steps of regression alone before the discriminator joins
  sharpen: z.number().nonnegative().default(1), // what adversarialWeight is multiplied by in the last part of the steps
  sharpenPart: fraction.default(0.25), // that part of all steps; it should lie where the rate falls (decay)
  discriminatorRate: rate.default(1e-4),
  discriminator: z.enum(["teacher", "features", "both"]).default("teacher"), // the teacher's network, or heads over train.perceptual's features
  discriminatorDepth: count.default(3), // DiT: how many of the teacher's blocks the discriminator keeps
  noiseCondition: z.boolean().default(true), // the discriminator sees a triple's noise
  discriminatorNoise: noiseRange.default([0.1, 1]), // the teacher's network sees latents under noise of these levels, over sigmaData; [0, 0]: clean
  scales: z.array(count).default([1, 2]), // multi-scale inputs and outputs: latent side divided by these
  mismatch: fraction.default(0.25), // mix-and-match: share of the discriminator's fakes that are unrelated real latents
  r1Weight: z.number().nonnegative().default(1e-3),
  r1Every: count.default(16),
  window: count.default(4), // shards from which one block of batches is shuffled
  firstShards: count.default(1), // shards that must exist before step 0
  stepsPerShard: rate.default(8), // every so many steps one further shard may be drawn from
  threads: z.int().nonnegative().default(0), // of the trainer's engine; 0: engine.threads, in `run` what simulation leaves
  distanceEvery: z.int().nonnegative().default(250), // steps between online Fréchet distances, in metrics.jsonl; 0: none
  ...watchSettings,
});

export const evaluateSettings = z.strictObject({
  count: count.default(2048), // samples of each model; their conditions are those of the reference's images in turn
  reference: z.enum(["whole", "draw"]).default("whole"), // compare with all images, or with `count` of them
  seeds: count.default(1), // repetitions with other samples (seed, seed + 1, ...), whose spread is printed; 3 for results
  speed: z.boolean().default(true), // time the models too: milliseconds an image, images a second
  features: z.string().default("auto"), // built-in, or the path of a feature network's safetensors
  batch: count.default(64),
});

export const engineSettings = z.strictObject({
  device: z.enum(["auto", "cpu", "webgpu", "cuda", "tensorflow"]).default("cpu"),
  precision: z.enum(["single", "half"]).default("single"), // half: float16 products on webgpu and cuda, where they are right
  threads: z.int().nonnegative().default(0), // `run` divides them among its engines; 0: one for each core
});

export const settingsSchema = z.strictObject({
  seed: seed.default(0),
  images: imageSettings.prefault({}),
  encoder: encoderSettings.prefault({}),
  network: networkSettings.prefault({}),
  diffusion: diffusionSettings.prefault({}),
  pretrain: pretrainSettings.prefault({}),
  simulate: simulateSettings.prefault({}),
  train: trainSettings.prefault({}),
  evaluate: evaluateSettings.prefault({}),
  engine: engineSettings.prefault({}),
});

export type Settings = z.infer<typeof settingsSchema>;
export type ImageSettings = z.infer<typeof imageSettings>;
export type EncoderSettings = z.infer<typeof encoderSettings>;
export type NetworkSettings = z.infer<typeof networkSettings>;
export type DiffusionSettings = z.infer<typeof diffusionSettings>;
export type OptimiserSettings = z.infer<typeof optimiserSettings>;
export type SimulateSettings = z.infer<typeof simulateSettings>;
export type TrainSettings = z.infer<typeof trainSettings>;
export type EvaluateSettings = z.infer<typeof evaluateSettings>;
export type EngineSettings = z.infer<typeof engineSettings>;
