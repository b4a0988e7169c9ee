/** The latents of a published teacher, and the codec between them and pictures. */
import { join } from "node:path";
import { shapesAlone } from "../../engine/weights.ts";
import type { Codec } from "../../models/codecs/codec.ts";
import { autoencoderKl, downsampleOf, latentScale } from "../../models/codecs/kl.ts";
import { kl } from "../../models/codecs/kl-codec.ts";
import { klLayout } from "../../models/codecs/kl-layout.ts";
import { pixel } from "../../models/codecs/pixel.ts";
import { readConfig } from "../../models/published/network.ts";
import { hasPart, openPart } from "../../models/published/part-files.ts";
import { type ImageSize, sizeOf } from "../../schemas/images.ts";

/** What a teacher's latents are: pixels in [-1, 1], or an autoencoder's, shifted and scaled as its config says. */
export interface Latents {
  /** The codec of latents [height, width]. */
  codec: (sides: Sides) => Promise<Codec>;
  /** The same with weights that have shapes and no elements. */
  planned: (sides: Sides) => Promise<Codec>;
  /** Pixels of the picture a side of each. */
  factor: number;
  sigmaData: number;
  mean: number[];
  /** Standard deviation that normalisation (x - mean) / std * sigmaData takes for the published scale. */
  std: number[];
}

/** [height, width]. */
export type Sides = [number, number];

/** Those of the teacher in `folder`, of so many channels. Throws a Failure where its autoencoder is not understood. */
export async function latentsOf(folder: string, channels: number): Promise<Latents> {
  const each = (value: number): number[] => new Array<number>(channels).fill(value);
  const path = join(folder, "vae");
  if (!(await hasPart(path))) {
    const codec = (sides: Sides): Promise<Codec> => pixel.open({ imageSize: sizeOf(sides), read: unread });
    return { codec, planned: codec, factor: 1, sigmaData: PIXEL_DEVIATION, mean: each(0), std: each(PIXEL_DEVIATION) };
  }
  const config = readConfig(autoencoderKl.config, await openPart(path));
  const { mean, scale } = latentScale(config);
  const factor = downsampleOf(config);
  const sizeFrom = ([height, width]: Sides): ImageSize => sizeOf([height * factor, width * factor]);
  const codec = (sides: Sides): Promise<Codec> => kl.open({ path, imageSize: sizeFrom(sides), read: unread });
  const planned = async (sides: Sides): Promise<Codec> => {
    const imageSize = sizeFrom(sides);
    const weights = shapesAlone(klLayout(config));
    return { description: { kind: kl.kind, imageSize, shape: kl.latent(config, imageSize), hash: "", config }, weights };
  };
  return { codec, planned, factor, sigmaData: 1, mean, std: scale.map((factor) => 1 / factor) };
}

/** A published codec is no run's. */
const unread = (folder: string): Promise<Codec> => Promise.reject(new Error(`${folder} is not to be read`));

/** Of images between -1 and 1, as EDM has it; scaled latents have about 1. */
const PIXEL_DEVIATION = 0.5;
