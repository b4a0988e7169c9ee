/**
 * onestep.json: what a folder of an exported model says of itself, so that a program in any language draws with it. The folder holds
 * generator.onnx, decoder.onnx, where captions are read text.onnx with its tokenizer, this file, and README.md.
 *
 * A picture is made so, every array float32 unless its port says otherwise, the batch any number of rows:
 *
 *     condition: label; or tokens of an image; or those of a caption -> text.onnx -> its outputs, inputs of the generator by the same names
 *     sampler "direct":  latent = generator(noise, [prior,] condition)
 *     sampler "loop":    x = start * noise [+ mean + std * prior]; memory_j = 0
 *                        for each stage: D = generator(x, level, condition).latent
 *                                        x' = state x + denoised D + clipped clip(D) + sum of used_j memory_j + fresh * noise_i
 *                                        memory_j' = kept_j memory_j + state_j x + denoised_j D
 *                        latent = x
 *     image = decoder(latent).image, in -1..1; a pixel is round((image + 1) * 127.5)
 */
import * as z from "zod";

const size = z.int().positive();
const hash = z.string().regex(/^[0-9a-f]{64}$/, "expected a sha256 of 64 hexadecimal digits");
const milliseconds = z.number().nonnegative();

/** The format and version of onestep.json. */
export const onestepJsonFormat = "onestep-onnx/1";

/** A tensor that a graph takes or answers. */
const port = z.strictObject({
  name: z.string(),
  shape: z.array(z.union([z.literal("batch"), size])), // "batch": any number of rows, the same in all inputs of a call
  dtype: z.enum(["float32", "int32"]),
});

const file = z.strictObject({ file: z.string(), bytes: size, sha256: hash });

/** One ONNX model. `data` is there where its weights lie in a file of their own (models of more than 2 GB cannot hold them). */
const graph = file.extend({ data: file.optional(), inputs: z.array(port), outputs: z.array(port) });

/** How captions become the inputs of text.onnx, one tokenizer for each of them. */
const tokenizer = z.strictObject({
  file: z.string(), // own: as models/text/tokenizer.ts writes it (format "onestep-tokenizer/1"); huggingface: tokenizer.json
  kind: z.enum(["own", "huggingface"]),
  input: z.string(), // of text.onnx, int32 [batch, length]
  length: size, // ids are padded or cut to it; of our own the last piece kept is the end piece
  end: z.int(), // the id of the end piece
  padding: z.int(), // the id that fills the rest
  mask: z.string().optional(), // an input of text.onnx, float32 [batch, length]: 1 for ids that are not padding, 0 for the rest
  isLowered: z.boolean().optional(), // whether a caption is lower-cased and trimmed first
});

const condition = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("none") }),
  // The input of the generator is int32 [batch], of which 0 is the first name.
  z.strictObject({ kind: z.literal("class"), input: z.string(), names: z.array(z.string()) }),
  // The input of the generator is int32 [batch, height * width]: the tokens of an image, row by row of its grid, each below `codes`, as
  // the image tokenizer of this hash makes them (`pipeline tokenize`) or a prior draws them.
  z.strictObject({ kind: z.literal("tokens"), input: z.string(), grid: z.tuple([size, size]), codes: size, tokenizer: hash }),
  // The captions are some to begin with.
  z.strictObject({ kind: z.literal("caption"), tokenizers: z.array(tokenizer).min(1), captions: z.array(z.string()) }),
]);

/** One call of the generator of a loop, and what is made of its answer: see above. */
const stage = z.strictObject({
  sigma: z.number(), // the noise level, to tell a person
  level: z.tuple([z.number(), z.number(), z.number(), z.number()]), // the input "level": cSkip, cOut, cIn, cNoise of that noise level
  state: z.number(),
  denoised: z.number(),
  clipped: z.number(),
  fresh: z.number(), // the deviation of the unit noise that is added after the call; 0: none
  memories: z.array(z.strictObject({ used: z.number(), kept: z.number(), state: z.number(), denoised: z.number() })),
});
export type LoopStage = z.infer<typeof stage>;

/** A loop of so many calls. */
const loop = z.strictObject({
  start: z.number(), // the deviation of the first state
  clip: z.number().positive().optional(), // clip(D) holds D to [-clip, clip]
  stages: z.array(stage).min(1),
});
export type Loop = z.infer<typeof loop>;

const sampler = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("direct") }), // one call from unit noise to the latent: noise level and scales are in the graph
  z.strictObject({
    kind: z.literal("loop"),
    calls: size, // how many the model is asked for unless somebody wants others
    loops: z.record(z.string().regex(/^[1-9]\d*$/), loop), // by the number of calls
    prior: z.strictObject({ mean: z.array(z.number()), std: z.array(z.number()) }).optional(), // one value a channel
  }),
]);

/** The largest difference of two ways to compute the same pictures, from one noise and condition. */
const difference = z.strictObject({
  runtime: z.string(), // "onnxruntime-node 1.30.0", "onnxruntime 1.22.0 (Python)"
  latent: z.number().nonnegative(), // absolute
  image: z.number().nonnegative(), // absolute, of values in -1..1
  rows: size, // pictures compared
});

export const onestepJson = z.strictObject({
  format: z.literal(onestepJsonFormat),
  name: z.string(), // of the run
  role: z.enum(["student", "teacher"]),
  weights: hash, // of the run's weights: model.json has the same
  licence: z.string(), // of the weights, as far as it is known
  madeBy: z.string(), // "onestep 0.1.0"
  opset: size, // of the default operator set, which is the only one
  precision: z.enum(["single", "half"]), // how weights are stored; arithmetic is float32 in either
  image: z.strictObject({ width: size, height: size, channels: z.literal(3), range: z.tuple([z.literal(-1), z.literal(1)]) }),
  latent: z.tuple([size, size, size]), // [height, width, channels]
  condition,
  sampler,
  // The noise of picture `index` of a seed: normals of Philox 4x32-10 (schemas/numbers/philox.ts) from element index * h * w * c of the
  // stream; fresh noise after stage i, from 1, is of "STREAM/renoise/i", that of the prior of "STREAM/prior".
  noise: z.strictObject({ stream: z.string() }),
  graphs: z.strictObject({ generator: graph, decoder: graph, text: graph.optional() }),
  parity: z.strictObject({
    // Of half a share of the values' range. Of single absolute, and where latents are wider than -1..1 that share of half their range
    // (of images no more than ten times the tolerance): float32 rounds in proportion.
    tolerance: z.number().positive(),
    range: z.strictObject({ latent: z.number().positive(), image: z.number().positive() }), // largest less smallest value that was compared
    differences: z.array(difference).min(1), // from this package's own sampling
  }),
  speed: z.strictObject({
    machine: z.string(), // processor, threads, runtime
    generator: milliseconds, // a call, one picture
    decoder: milliseconds, // a picture
    text: milliseconds.optional(), // a caption
    image: milliseconds, // a picture, all calls of the default sampler, the caption's once
  }),
});
export type OnestepJson = z.infer<typeof onestepJson>;
