/**
 * AutoencoderKL (kl.ts) as a codec, from the folder that its makers publish. Latents are the means of the posterior and not scaled: a
 * store's own statistics take the place of the published factor.
 */
import { join } from "node:path";
import type * as z from "zod";
import type { Tensor } from "../../engine/tfjs.ts";
import { hashWeights, layoutDifferences, type Weights } from "../../engine/weights.ts";
import { Failure } from "../../schemas/failure.ts";
import { type ImageSize, sizeInWords } from "../../schemas/images.ts";
import { classOf } from "../published/folder.ts";
import { readConfig } from "../published/network.ts";
import { hasPart, openPart } from "../published/part-files.ts";
import { listed } from "../weights/load.ts";
import { type CodecDescription, type CodecKind, latentSides, neededPath } from "./codec.ts";
import { autoencoderKl, downsampleOf, type KlConfig } from "./kl.ts";
import { klLayout } from "./kl-layout.ts";

/** Channels of an image. */
const COLOURS = 3;

/** The published config, of one that takes and makes images; codec.json holds it with every default filled in. */
const klConfig: z.ZodType<KlConfig> = autoencoderKl.config.superRefine((c, context) => {
  for (const key of ["in_channels", "out_channels"] as const) {
    if (c[key] !== COLOURS) context.addIssue({ code: "custom", path: [key], message: `images have ${COLOURS} channels` });
  }
});

/**
 * Reads a published AutoencoderKL: `path` is its folder or that of a pipeline, a single file among them, which has it as `vae`. Throws
 * a Failure where there is none, where it is of another class or has a config that is not understood, and where its tensors are not
 * all that the config asks for.
 */
export async function loadKl(path: string): Promise<{ config: KlConfig; weights: Weights }> {
  const from = await partIn(path);
  const { file, json, read } = await openPart(from);
  const name = classOf(json);
  if (!autoencoderKl.classes.includes(name)) {
    throw new Failure(
      `Cannot encode with ${file}: its class is "${name}" and not ${autoencoderKl.classes.join(", ")}. Point encoder.path at a folder of ` +
        "that class, or choose another encoder.kind.",
    );
  }
  const config = readConfig(klConfig, { json, file });
  const weights = await read(autoencoderKl.names?.(config) ?? {});
  const wrong = layoutDifferences(klLayout(config), weights);
  if (wrong.length > 0) {
    throw new Failure(
      `Cannot use ${from}: not all of its tensors are those of ${file} (kernels as height, width, in, out): ${listed(wrong)}. Fetch ` +
        "both files again.",
    );
  }
  return { config, weights };
}

/** A pipeline's `vae` comes first: some pipelines have a config.json of their own. */
async function partIn(path: string): Promise<string> {
  for (const part of [join(path, "vae"), path]) if (await hasPart(part)) return part;
  throw new Failure(
    `Cannot load the autoencoder at "${path}": there is neither config.json nor vae/config.json; point encoder.path at the folder of an ` +
      "AutoencoderKL, or of a pipeline that has one",
  );
}

/** Shape [height, width, channels] of the latent of an image of this size; throws a Failure where it does not divide. */
function latentShape(config: KlConfig, imageSize: ImageSize): CodecDescription["shape"] {
  const { block_out_channels: levels, latent_channels: channels } = config;
  const factor = downsampleOf(config);
  const sides = latentSides(imageSize, factor);
  if (sides.every(Number.isInteger)) return [...sides, channels];
  throw new Failure(
    `Cannot encode images of ${sizeInWords(imageSize)}: the autoencoder halves them ${levels.length - 1} times; set images.size to a ` +
      `multiple of ${factor}`,
  );
}

/** Images [b, h, w, 3] in [-1, 1] to the means of their latents [b, h', w', latent channels], not scaled. */
function encode(config: KlConfig, parameters: Record<string, Tensor>, image: Tensor): Tensor {
  return autoencoderKl.forward(config, parameters, { image }, "encode").mean as Tensor;
}

/** The inverse: such latents to images, about [-1, 1] but not clamped. */
function decode(config: KlConfig, parameters: Record<string, Tensor>, latents: Tensor): Tensor {
  return autoencoderKl.forward(config, parameters, { latents }, "decode").image as Tensor;
}

export const kl = {
  kind: "kl",
  network: {
    config: klConfig,
    encode,
    decode,
    differences: (config, found) => layoutDifferences(klLayout(config), found),
    tile: 64, // 512 px of an autoencoder that halves three times, the size that most were trained on; its attention sees all of a tile
  },
  latent: latentShape,
  open: async ({ path, imageSize }) => {
    const { config, weights } = await loadKl(neededPath("kl", path));
    return { description: { kind: "kl", imageSize, shape: latentShape(config, imageSize), hash: hashWeights(weights), config }, weights };
  },
} satisfies CodecKind<KlConfig>;
