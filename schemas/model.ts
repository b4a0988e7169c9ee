/**
 * What a run folder says about the networks in it, so that each can be built again from the folder alone: `model.json`, of
 * which the schemas are here, and of codecs `codec.json`, each with its weights beside it (models/codecs/). In the files
 * stand format and version too, and a seal over all of it (seal.ts).
 */
import * as z from "zod";
import { anyDiffusion, anyNetwork, networkSettings } from "./settings.ts";

const size = z.int().positive();
const shape = z.tuple([size, size, size]); // latent [height, width, channels]
const hash = z.string().regex(/^[0-9a-f]{64}$/, "expected a sha256 of 64 hexadecimal digits");

/** The `format` of model.json. */
export const modelFormat = "onestep-model";

const statistics = z.object({
  mean: z.array(z.number()),
  std: z.array(z.number()),
  min: z.array(z.number()),
  max: z.array(z.number()),
  nonFinite: z.number(),
});

/** How samples are drawn, as the method that trained the network says; whoever samples obeys it. */
export const samplerDescription = z.strictObject({
  times: z.union([z.literal("any"), z.array(z.number()).min(1)]), // noise levels sigma at which it is asked; any: as a solver wants
  between: z.enum(["ode", "renoise"]), // from one to the next: along the line through the clean prediction, or by fresh noise on it
  guidance: z.number(), // an input of networks that take it, otherwise classifier-free guidance
  choices: z.record(z.string().regex(/^[1-9]\d*$/), z.array(z.number()).min(1)).optional(), // other times, by how many they are
  // Of YOSO: the first state is mean + std n + sigma epsilon with n, epsilon ~ N(0, 1), one value a channel, in the model's scale.
  prior: z.strictObject({ mean: z.array(z.number()), std: z.array(z.number()) }).optional(),
});
export type Sampler = z.infer<typeof samplerDescription>;

/** What a denoising network is, apart from its weights: enough to build it again. */
export const denoiserSpec = z.strictObject({
  shape,
  network: anyNetwork,
  diffusion: anyDiffusion,
  classes: z.array(z.string()), // names of the labels; empty without
  vocabulary: z.int().nonnegative(), // size of the tokenizer's; 0 without captions
});
export type DenoiserSpec = z.infer<typeof denoiserSpec>;

/** What a tokenizer is made of; plain JSON. Pieces are numbered: padding, end, half-bytes, characters, merges. */
export const tokenizerSchema = z.strictObject({
  format: z.literal("onestep-tokenizer/1"),
  characters: z.array(z.string().min(1)),
  merges: z.array(z.tuple([z.string().min(1), z.string().min(1)])),
});
export type TokenizerData = z.infer<typeof tokenizerSchema>;

/** A LoRA file added to a published teacher, and how much of it. */
const loraRequest = z.strictObject({ path: z.string(), scale: z.number() });
export type LoraRequest = z.infer<typeof loraRequest>;

/** Where a published teacher lies on the machine that read it: what a student is exported beside. No other file depends on it. */
const publishedSource = z.strictObject({
  path: z.string(), // of a pipeline's folder, or of its one file
  loras: z.array(loraRequest).optional(), // that its weights were read with
});

/** A teacher or student: `model.json`, with the weights (the EMA) beside it in `weights.safetensors`. */
export const denoiserDescription = z.strictObject({
  role: z.enum(["teacher", "student"]),
  hash, // of the weights
  spec: denoiserSpec,
  statistics, // of the raw latents it was trained on: what normalisation to undo before decoding
  tokenizer: tokenizerSchema.optional(), // of caption conditions; see models/text/tokenizer.ts
  captions: z.array(z.string()), // captions to sample from where none are given
  textEncoders: z.string().optional(), // FOLDER of the pipeline whose encoders embed texts for a published network (network.text)
  textLoras: z.array(loraRequest).optional(), // files that are added to those encoders
  sampler: samplerDescription.optional(), // of a teacher there is none: any solver may integrate its ODE
  source: publishedSource.optional(), // of published teachers and their students
});
export type DenoiserDescription = z.infer<typeof denoiserDescription>;

/** A perceptual network: `model.json` with role "perceptual". */
export const perceptualDescription = z.strictObject({
  role: z.literal("perceptual"),
  hash,
  config: z.strictObject({
    shape,
    width: size,
    stages: size,
    sigmaData: z.number().positive(),
    classes: z.int().nonnegative(),
    words: z.array(z.string()),
  }),
});
export type PerceptualDescription = z.infer<typeof perceptualDescription>;

/** What an image tokenizer's network is, apart from its weights. */
export const imageTokenizerConfig = z.strictObject({
  shape, // of the latents
  downsample: z.union([z.literal(2), z.literal(4), z.literal(8), z.literal(16)]), // side of a latent over side of the grid of tokens
  width: size, // channels of the first level
  codes: z.int().min(2).max(32768), // tokens are 0 to codes - 1, stored as int16
  dimension: size, // of a code
  sigmaData: z.number().positive(), // standard deviation of the latents it is given
});
export type ImageTokenizerConfig = z.infer<typeof imageTokenizerConfig>;

/** An image tokenizer: `model.json` with role "tokenizer", beside the codec of its latents. */
export const imageTokenizerDescription = z.strictObject({
  role: z.literal("tokenizer"),
  hash,
  config: imageTokenizerConfig,
  statistics, // of the raw latents, as a teacher's
});
export type ImageTokenizerDescription = z.infer<typeof imageTokenizerDescription>;

/** What a prior over tokens is, apart from its weights. */
export const priorSpec = z.strictObject({
  grid: z.tuple([size, size]), // of an image's tokens, [height, width]
  codes: z.int().min(2).max(32768),
  network: networkSettings.pick({ width: true, depth: true, heads: true, condition: true, captionTokens: true, textDepth: true }),
  classes: z.array(z.string()), // names of the labels; empty without
  vocabulary: z.int().nonnegative(), // size of the text tokenizer's; 0 without captions
});
export type PriorSpec = z.infer<typeof priorSpec>;

/** How tokens are drawn from a prior's logits, unless whoever samples says otherwise. */
export const tokenSampler = z.strictObject({
  guidance: z.number().nonnegative(), // l = l_u + guidance (l_c - l_u); 1 is none
  topK: z.int().nonnegative(), // only the so many likeliest tokens; 0: all
  temperature: z.number().nonnegative(), // logits are divided by it; 0 takes the likeliest
});
export type TokenSampler = z.infer<typeof tokenSampler>;

/** An autoregressive prior over an image tokenizer's tokens: `model.json` with role "prior". */
export const priorDescription = z.strictObject({
  role: z.literal("prior"),
  hash,
  spec: priorSpec,
  imageTokenizer: hash, // of the weights of the tokenizer whose tokens it has learned
  tokenizer: tokenizerSchema.optional(), // of caption conditions
  captions: z.array(z.string()), // captions to sample from where none are given
  sampler: tokenSampler,
});
export type PriorDescription = z.infer<typeof priorDescription>;
