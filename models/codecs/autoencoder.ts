/**
 * Our small autoencoder: images [b, h, w, 3] in [-1, 1] become latents [b, h / f, w / f, channels], f = 2, 4 or 8.
 * Resolution changes by folding squares of pixels into channels, so that every convolution runs at half resolution or
 * below; residual blocks start as the identity, which takes the place of normalisation. At width 48 and f = 4 a 64 px
 * image costs about 200 MFLOP to encode and 280 to decode, with 0.54 M parameters.
 */
import * as z from "zod";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { layoutDifferences, type Weights } from "../../engine/weights.ts";
import { badUsage, Failure } from "../../schemas/failure.ts";
import { type ImageSize, sizeInWords } from "../../schemas/images.ts";
import { createInitialiser, type Initialiser } from "../initialise.ts";
import { conv, linear, type Parameters, fold, unfold } from "../layers.ts";
import { type CodecKind, latentSides, neededPath } from "./codec.ts";

const size = z.int().positive();

const autoencoderSchema = z.strictObject({
  channels: size, // of the latent
  downsample: size.refine((side) => [2, 4, 8].includes(side), "expected 2, 4 or 8"), // image side over latent side
  width: size, // channels at half resolution; each further level has half as many again
  limit: z.number().positive(), // latents stay inside (-limit, limit): z = limit tanh(u / limit), the soft clamp of TAESD
  noise: z.number(), // standard deviation of what is added to latents in training: decoders must forgive generated latents
  perceptualWeight: z.number(),
  boundWeight: z.number(),
});

export type AutoencoderConfig = z.infer<typeof autoencoderSchema>;

/** The autoencoder that the settings of `pretrain autoencoder` describe. */
export function autoencoderConfig(settings: Omit<AutoencoderConfig, "limit" | "noise">): AutoencoderConfig {
  const { channels, downsample, width, perceptualWeight, boundWeight } = settings;
  return { channels, downsample, width, limit: 3, noise: 0.1, perceptualWeight, boundWeight };
}

/** Shape [height, width, channels] of the latent of an image of `size` pixels a side; throws where it does not divide. */
export function latentShape(config: AutoencoderConfig, size: ImageSize): [number, number, number] {
  const sides = latentSides(size, config.downsample);
  if (sides.every(Number.isInteger)) return [...sides, config.channels];
  throw badUsage(
    `Cannot encode images of ${sizeInWords(size)}: pretrain.autoencoder.downsample ${config.downsample} does not divide the side; ` +
      `set images.size to a multiple of ${config.downsample}`,
  );
}

/** Channels of each level, from half resolution down to the latent's. */
function levels({ width, downsample }: AutoencoderConfig): number[] {
  return Array.from({ length: Math.log2(downsample) }, (_, i) => 8 * Math.round((width * 1.5 ** i) / 8));
}

/** Residual blocks of level `i` of `count`: two at the latent's resolution, where they are cheap, and in the decoder. */
const depth = (part: "encoder" | "decoder", i: number, count: number): number => (part === "decoder" || i === count - 1 ? 2 : 1);

/** Initial weights, "encoder..." and "decoder...". */
export function initAutoencoder(config: AutoencoderConfig, seed: number): Weights {
  const init = createInitialiser(seed);
  const widths = levels(config);
  const last = widths.length - 1;
  init.conv("encoder.in", 3, 4 * 3, widths[0] as number);
  init.conv("decoder.in", 3, config.channels, widths[last] as number);
  widths.forEach((width, i) => {
    initBlocks(init, `encoder.${i}`, width, depth("encoder", i, widths.length));
    initBlocks(init, `decoder.${i}`, width, depth("decoder", i, widths.length));
    if (i === last) return;
    const below = widths[i + 1] as number;
    init.linear(`encoder.${i}.down`, 4 * width, below);
    init.linear(`decoder.${i}.up`, below, 4 * width);
  });
  init.linear("encoder.out", widths[last] as number, config.channels);
  init.conv("decoder.out", 3, widths[0] as number, 4 * 3, { gain: 0.5 });
  return init.weights;
}

function initBlocks(init: Initialiser, name: string, width: number, count: number): void {
  for (let i = 0; i < count; i++) {
    init.conv(`${name}.blocks.${i}.in`, 3, width, width, { gain: Math.SQRT2 });
    init.conv(`${name}.blocks.${i}.out`, 3, width, width, { gain: 0 });
  }
}

/** Images [b, h, w, 3] in [-1, 1] to latents [b, h / f, w / f, channels] inside (-limit, limit). */
export function encode(config: AutoencoderConfig, parameters: Parameters, images: Tensor): Tensor {
  const widths = levels(config);
  let x = conv(parameters, "encoder.in", fold(images));
  widths.forEach((_, i) => {
    x = blocks(parameters, `encoder.${i}`, x, depth("encoder", i, widths.length));
    if (i < widths.length - 1) x = linear(parameters, `encoder.${i}.down`, fold(x));
  });
  const unbounded = linear(parameters, "encoder.out", tf.relu(x));
  return tf.mul(tf.tanh(tf.mul(unbounded, 1 / config.limit)), config.limit);
}

/** Latents [b, h, w, channels] to images [b, h f, w f, 3], about [-1, 1] but not clamped. */
export function decode(config: AutoencoderConfig, parameters: Parameters, latents: Tensor): Tensor {
  const widths = levels(config);
  let x = conv(parameters, "decoder.in", latents);
  for (let i = widths.length - 1; i >= 0; i--) {
    if (i < widths.length - 1) x = unfold(linear(parameters, `decoder.${i}.up`, tf.relu(x)));
    x = blocks(parameters, `decoder.${i}`, x, depth("decoder", i, widths.length));
  }
  return unfold(conv(parameters, "decoder.out", tf.relu(x)));
}

/** Residual blocks of two convolutions, activation first (He et al. 2016, "Identity mappings"). */
function blocks(parameters: Parameters, name: string, x: Tensor, count: number): Tensor {
  let y = x;
  for (let i = 0; i < count; i++) {
    const hidden = conv(parameters, `${name}.blocks.${i}.in`, tf.relu(y));
    y = tf.add(y, conv(parameters, `${name}.blocks.${i}.out`, tf.relu(hidden)));
  }
  return y;
}

export const autoencoder = {
  kind: "autoencoder",
  network: {
    config: autoencoderSchema,
    differences: (config, found) => layoutDifferences(initAutoencoder(config, 0), found),
    encode,
    decode,
  },
  latent: latentShape,
  open: async ({ path, imageSize, read }) => {
    const folder = neededPath("autoencoder", path);
    const { description, weights } = await read(folder);
    if (description.kind !== "autoencoder") {
      throw new Failure(`Cannot encode with ${folder}: it holds a "${description.kind}" codec. Name a RUN of \`pretrain autoencoder\`.`);
    }
    return { description: { ...description, imageSize, shape: latentShape(description.config as AutoencoderConfig, imageSize) }, weights };
  },
  planned: { by: "autoencoder", shape: (own, imageSize) => latentShape(autoencoderConfig(own as AutoencoderConfig), imageSize) },
} satisfies CodecKind<AutoencoderConfig>;
