/**
 * Every setting of every command, with its default and the reason for it. One schema, so that a value means the same
 * in a preset, a `--config` file, a `--set` flag and the `settings.yaml` written beside each output.
 */
import * as z from "zod";

/** Kinds of numbers that the methods' own settings are made of too. */
export const count = z.int().positive();
export const rate = z.number().positive();
export const fraction = z.number().min(0).max(1);
export const weight = z.number().nonnegative(); // of a term of a loss

const seed = z.int().nonnegative();
const threads = z.int().min(0).max(1024);

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
  kind: z.enum(["pixel", "autoencoder", "taesd", "kl"]).default("pixel"), // pixel: RGB scaled to [-1, 1], for 28-32 px
  path: z.string().optional(), // autoencoder: a RUN folder; taesd: a folder or prefix of *_encoder/_decoder.safetensors; kl: a vae folder
  batch: count.default(16),
  rowsPerShard: count.default(256), // of a latent store: a shard is held in memory while it is encoded
});

/** The text side of a published pipeline (models/text/published-text.ts). */
const textSettings = z.strictObject({
  pipeline: z.string(), // its class, as model_index.json has it
  lengths: z.array(count).min(1), // tokens that each of its encoders is given
  hash: z.string().regex(/^[0-9a-f]{64}$/), // of its encoders' weights and configs, and of its tokenizers
});
export type TextSettings = z.infer<typeof textSettings>;

const controlSettings = z.strictObject({ height: count, width: count, dimension: count });

/** The map of codes that a control branch reads. */
export type ControlSettings = z.infer<typeof controlSettings>;

export const networkSettings = z.strictObject({
  kind: z.enum(["dit", "unet"]).default("dit"),
  patch: count.default(2), // DiT: side of a patch in latent pixels
  width: count.default(128), // DiT: token width; U-Net: channels of the first level
  depth: count.default(6), // DiT: blocks; U-Net: residual blocks a level
  heads: count.default(4),
  multipliers: z.array(count).min(1).default([1, 2, 2]), // U-Net: channels of each level, relative to width
  attentionLevels: z.array(z.int().nonnegative()).default([1]), // U-Net: levels with self-attention
  condition: z.enum(["none", "class", "caption"]).default("class"),
  vocabulary: count.default(512), // caption: word pieces learned from the captions
  captionTokens: count.default(24), // caption: longest caption, in word pieces
  textDepth: count.default(2), // caption: transformer blocks of the text encoder
  stack: z.literal(2).optional(), // two such networks in series, the second refines what the first makes (InstaFlow-1.7B)
  guidance: z.boolean().optional(), // the guidance scale is an input, as of students that were made for a range of it (LCM)
  control: controlSettings.optional(), // a branch beside the frozen network reads a map of an image's codes, as of Layton's decoder
});

export const storeSettings = z.strictObject({
  format: z.enum(["parquet", "arrow"]).default("parquet"), // of shards; arrow: Arrow IPC files, whose tensors are looked at where they lie
});

/** A network as settings ask for it, or a published one, of which `published` says all: the other sizes are nobody's then. */
export const anyNetwork = networkSettings.extend({
  kind: z.enum([...networkSettings.shape.kind.unwrap().options, "published"]),
  published: z.record(z.string(), z.unknown()).optional(), // its config.json
  pixels: z.tuple([count, count]).optional(), // [height, width] of the pictures, where they are not the latents'
  text: textSettings.optional(), // what embeds the texts that a published network is conditioned on
});

export const diffusionSettings = z.strictObject({
  parameterisation: z.enum(["edm", "flow", "vp-epsilon", "vp-v", "vp-v-zero"]).default("edm"), // vp-v-zero: zero terminal SNR
  sigmaData: rate.default(0.5), // latents are scaled to this standard deviation
  sigmaMin: rate.default(0.002), // Karras et al. 2022, table 1
  sigmaMax: rate.default(80),
  rho: rate.default(7),
  logSigmaMean: z.number().default(-1.2), // training noise levels: ln sigma ~ N(mean, std^2)
  logSigmaStd: rate.default(1.2),
});

/** A diffusion as settings ask for it, or by the numbered steps of a published network. */
export const anyDiffusion = diffusionSettings.extend({
  schedule: z.record(z.string(), z.unknown()).optional(), // its scheduler_config.json
  // Of flow matching, what its pipeline tells the schedule: the side of a patch in latent pixels, and whether shares of noise are even.
  flow: z.strictObject({ patch: count, isEven: z.boolean() }).optional(),
});

/** What decides a training's result, whatever the method: with a method's own settings the whole of a run's identity. */
export const optimiserSettings = z.strictObject({
  steps: count.default(8000),
  batch: count.default(64),
  accumulate: count.default(1), // micro-batches a batch is taken in, to save memory: a divisor of batch; 1: one for each worker
  learningRate: rate.default(1e-3),
  warmup: z.int().nonnegative().default(200),
  decay: fraction.default(0.3), // last share of the steps over which the rate falls linearly to zero (0: constant)
  beta1: fraction.default(0.9),
  beta2: fraction.default(0.99),
  weightDecay: z.number().nonnegative().default(0.01),
  clip: rate.default(1), // global gradient norm
  ema: fraction.default(0.999), // exponential moving average of the weights, per step
});

/** When something is written on the way. No step depends on it. */
const recordSettings = {
  checkpointEvery: count.optional(), // steps; otherwise a tenth of all, at least 50 and at most 1000
  pictureEvery: count.default(1000), // steps
};

/** What computes a training, and in what memory. No result depends on it. */
const workSettings = {
  workers: count.default(1), // trainers that take micro-batches in turn, each on a device or with threads of its own; divides accumulate
  checkpointing: z.enum(["off", "blocks"]).default("off"), // blocks: gradients compute each block again, with less memory and more time
};

/** Of an online Fréchet distance, and what is done about it. It chooses among steps, and changes none. */
const watchSettings = {
  distanceEvery: z.int().nonnegative().default(0), // steps between online Fréchet distances of samples, in metrics.jsonl; 0: none
  distanceCount: count.default(1024), // samples of each, whose noise and conditions are always the same
  distanceFeatures: z.string().default("auto"), // as evaluate.features; more than 128 are seen along 128 random directions
  distanceRecall: z.boolean().default(false), // precision and recall of the same samples too; seconds each
  keep: z.enum(["best", "last"]).default("best"), // best: what is written is the EMA of the least online distance
  patience: z.int().nonnegative().default(0), // distances in a row without a lesser one after which training ends; 0: never
};

/** Which rows a step may draw from while the store still grows. */
export const orderSettings = z.strictObject({
  window: count.default(4), // shards from which one block of batches is shuffled
  firstShards: count.default(1), // shards that must exist before step 0
  stepsPerShard: rate.default(8), // every so many steps one further shard may be drawn from
  once: z.boolean().optional(), // draw from each shard once, one window after the other, of a store that may lose what was read
});

/** The settings of a method, as its file declares them. */
export type OwnSettings = z.ZodObject;

/** What `pretrain` makes. */
type Pretrained = "teacher" | "autoencoder" | "perceptual" | "tokenizer" | "prior";

/** What `pretrain WHAT` reads: the optimiser's settings and, beside them, those of the method it follows. */
function pretrainSettings(own: Record<Pretrained, OwnSettings>) {
  const base = optimiserSettings.extend(recordSettings).extend(workSettings);
  const from = z.string().optional(); // RUN of an earlier teacher of the same shape, whose weights to start from
  return z.strictObject({
    teacher: base
      .extend({ ...watchSettings, from })
      .extend(own.teacher.shape)
      .prefault({}),
    autoencoder: base.extend(own.autoencoder.shape).prefault({}),
    perceptual: base.extend(own.perceptual.shape).prefault({}),
    tokenizer: base
      .extend({ perceptual: z.string().optional() }) // RUN of `pretrain perceptual`, whose features are compared too
      .extend(own.tokenizer.shape)
      .prefault({}),
    prior: base.extend(own.prior.shape).prefault({}),
  });
}

/** What was given as a list of solver steps, sorted and each once: a list, one number, or words; none of "none" and of an empty list. */
function stepsOf(given: unknown, context: z.RefinementCtx): number[] | undefined {
  const list =
    typeof given === "string" ? given.split(",").map((word) => (/^\s*\d+\s*$/.test(word) ? Number(word) : word)) : [given].flat();
  if (given === "none" || list.length === 0) return undefined;
  if (list.every((step) => z.int().nonnegative().safeParse(step).success)) return [...new Set(list as number[])].sort((a, b) => a - b);
  context.addIssue({ code: "custom", message: "numbers of solver steps, from 0 on, as in 0,4,8, or none" });
  return z.NEVER;
}

/** Shards, or bytes in words. */
const lead = z.union([
  z
    .string()
    .regex(/^\d+(\.\d+)?[MGT]B$/)
    .meta({ examples: ["200GB"] }),
  z.coerce.number().meta({ type: "integer", exclusiveMinimum: 0 }).pipe(count), // the meta is what messages say is expected
]);

export const simulateSettings = z.strictObject({
  count: count.default(10_000), // triples
  steps: count.default(18), // Heun: 2 * steps - 1 evaluations; published: what its pipelines call num_inference_steps
  // published: as the teacher's scheduler_config.json walks; auto: so where there is one whose steps add no noise, elsewhere heun
  solver: z.enum(["auto", "published", "euler", "heun", "ddim", "dpm++2m"]).default("auto"),
  guidance: z.number().nonnegative().default(1), // classifier-free guidance scale; 1 is none
  // Of networks that are told the guidance scale (FLUX): that of two predictions on top, which leads away from `negative`; 1 is none.
  trueGuidance: z.number().nonnegative().optional(),
  guidanceRescale: fraction.optional(), // share in which guided predictions get the deviation of unguided ones back (Lin et al. 2024)
  batch: count.default(64),
  rowsPerShard: count.default(512),
  noise: z.enum(["derived", "stored"]).default("derived"), // derived: not stored, recomputed from the seed on reading
  dtype: z.enum(["float32", "float16"]).default("float32"),
  embeddings: z.enum(["derived", "stored"]).optional(), // stored: captions' embeddings are kept, and training needs no text encoder
  trajectory: z.unknown().transform(stepsOf).optional(), // solver steps, as in 0,4,8, whose states before them are kept too
  prompts: z.string().optional(), // FILE of texts to simulate, in turn: .txt a line each, .csv, .jsonl or .parquet with text or caption
  negative: z.string().optional(), // of published teachers: the text in place of a dropped or missing one; their pipeline's own otherwise
  textLength: z.int().min(1).max(512).optional(), // tokens that a published teacher's T5 is given; its pipeline's own unless told
  textEncoders: z.string().optional(), // FOLDER of a published teacher's text encoders, where it is no longer the one that model.json names
  workers: count.default(1), // samplers that make shards side by side, each on a card or with a share of the threads
  lead: lead.optional(), // shards, or bytes as in 200GB, that simulation may be ahead of the slowest training; it ends with the last
  keep: z.enum(["all", "unread"]).optional(), // unread: a shard goes once the checkpoints of all trainings have passed it; all unless told
  threads: threads.default(0), // of the sampler's engine; 0: engine.threads, in `run` half of them
});

const commonTrainSettings = optimiserSettings.extend(orderSettings.shape).extend({
  ...recordSettings,
  ...workSettings,
  ...watchSettings,
  learningRate: rate.default(2e-4),
  ema: fraction.default(0.998),
  distanceEvery: z.int().nonnegative().default(250),
  from: z.string().optional(), // RUN of an earlier student of such a teacher, to start from; its other parts too, where they are alike
  perceptual: z.string().optional(), // RUN of `pretrain perceptual`, for methods that look through features
  // Image networks that methods look at decoded images through: "builtin", "auto" or files as evaluate.features; one or several.
  features: z.union([z.string(), z.array(z.string()).min(1)]).default("builtin"),
  tokenizer: z.string().optional(), // RUN of `pretrain tokenizer`, for methods that draw what an image's codes say
  fewStep: z.string().optional(), // RUN of a few-step student of the same teacher, for methods that build on one
  images: z.string().optional(), // latent store of the real images, for methods that show them to a discriminator
  threads: threads.default(0), // of the trainer's engine; 0: engine.threads, in `run` what simulation leaves
});

/** What `train` reads: which method, the optimiser's settings, and a group for each method under its own name. */
function trainSettings({ usual, students }: Pick<MethodSettings, "usual" | "students">) {
  const groups = Object.fromEntries(Object.entries(students).map(([name, own]) => [name, own.prefault({})]));
  return commonTrainSettings.extend({ method: z.enum(Object.keys(students)).default(usual), ...groups });
}

export const evaluateSettings = z.strictObject({
  count: count.default(2048), // samples of each model; their conditions are those of the reference's images in turn
  reference: z.enum(["whole", "draw"]).default("whole"), // compare with all images, or with `count` of them
  seeds: count.default(1), // repetitions with other samples (seed, seed + 1, ...), whose spread is printed; 3 for results
  speed: z.boolean().default(true), // time the models too: milliseconds an image, images a second
  features: z.string().default("auto"), // auto: by the size of the images; builtin; or the path of a feature network's safetensors
  batch: count.default(64),
});

export const engineSettings = z.strictObject({
  device: z.enum(["auto", "cpu", "webgpu", "cuda", "tensorflow"]).default("cpu"),
  cards: z.array(z.int().nonnegative()).min(1).optional(), // numbers of CUDA devices, as device=cuda:0,cuda:1 has them too
  precision: z.enum(["single", "half"]).default("single"), // half: float16 products on webgpu and cuda, where they are right
  threads: threads.default(0), // `run` divides them among its engines; 0: one for each core
});

/** The settings of the methods that there are: of those that make students by name, of the others by what they make. */
export interface MethodSettings {
  /** The one that trains students where nobody chooses. */
  usual: string;
  students: Record<string, OwnSettings>;
  pretrained: Record<Pretrained, OwnSettings>;
}

/** The schema of all settings, with those that methods declare in their files. */
export function settingsSchemaWith({ usual, students, pretrained }: MethodSettings): z.ZodType<Settings, unknown> {
  return z.strictObject({
    seed: seed.default(0),
    images: imageSettings.prefault({}),
    encoder: encoderSettings.prefault({}),
    network: networkSettings.prefault({}),
    diffusion: diffusionSettings.prefault({}),
    pretrain: pretrainSettings(pretrained).prefault({}),
    simulate: simulateSettings.prefault({}),
    store: storeSettings.prefault({}),
    train: trainSettings({ usual, students }).prefault({}),
    evaluate: evaluateSettings.prefault({}),
    engine: engineSettings.prefault({}),
  }) as unknown as z.ZodType<Settings, unknown>;
}

/** Settings of one training: the optimiser's, what is recorded on the way, and the method's own beside them or in a group. */
export type TrainingSettings = OptimiserSettings &
  z.infer<z.ZodObject<typeof recordSettings & typeof workSettings>> & { readonly [own: string]: unknown };
export type WatchSettings = z.infer<z.ZodObject<typeof watchSettings>>;

export interface Settings {
  seed: number;
  images: ImageSettings;
  encoder: EncoderSettings;
  network: NetworkSettings;
  diffusion: DiffusionSettings;
  pretrain: {
    teacher: TrainingSettings & WatchSettings & { from?: string };
    autoencoder: TrainingSettings;
    perceptual: TrainingSettings;
    tokenizer: TrainingSettings & { perceptual?: string };
    prior: TrainingSettings;
  };
  simulate: SimulateSettings;
  store: StoreSettings;
  train: TrainSettings;
  evaluate: EvaluateSettings;
  engine: EngineSettings;
}

export type ImageSettings = z.infer<typeof imageSettings>;
export type EncoderSettings = z.infer<typeof encoderSettings>;
export type NetworkSettings = z.infer<typeof anyNetwork>;
export type DiffusionSettings = z.infer<typeof anyDiffusion>;
export type OptimiserSettings = z.infer<typeof optimiserSettings>;
export type OrderSettings = z.infer<typeof orderSettings>;
export type StoreSettings = z.infer<typeof storeSettings>;
export type SimulateSettings = z.infer<typeof simulateSettings>;
/** The common settings, `method`, and one group under each method's name. */
export type TrainSettings = z.infer<typeof commonTrainSettings> & { method: string; readonly [group: string]: unknown };
export type EvaluateSettings = z.infer<typeof evaluateSettings>;
export type EngineSettings = z.infer<typeof engineSettings>;
