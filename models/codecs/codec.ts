/**
 * What a codec is: a way from images to latents and back. One file a codec exports such an object, and codecs.ts finds it
 * by the name that settings, codec.json and store.json give it.
 */
import * as z from "zod";
import type { Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { badUsage } from "../../schemas/failure.ts";
import type { Parameters } from "../layers.ts";

/** What codec.json says of every codec; a codec with a network adds its config. */
export interface CodecDescription {
  kind: string;
  /** Side of the images, in pixels. */
  imageSize: number;
  /** Of a latent, [height, width, channels]. */
  shape: [height: number, width: number, channels: number];
  /** Of the weights. */
  hash: string;
  config?: unknown;
}

export interface Codec {
  description: CodecDescription;
  weights: Weights;
}

/** The two traced functions of a codec with a network, images [b, h, w, 3] in [-1, 1] and raw latents [b, h', w', c]. */
export interface CodecNetwork<C> {
  config: z.ZodType<C>;
  encode: (config: C, parameters: Parameters, images: Tensor) => Tensor;
  decode: (config: C, parameters: Parameters, latents: Tensor) => Tensor;
}

export interface CodecKind<C = never> {
  kind: string;
  /** Undefined where a pixel, scaled to [-1, 1], is a latent: nothing is computed, and no bit depends on a batch. */
  network?: CodecNetwork<C>;
  /**
   * The codec of these settings, for images of `imageSize` px. `read` reads the codec that a run folder holds. Throws a
   * Failure where files are missing or the size does not divide.
   */
  open: (options: { path?: string; imageSize: number; read: (folder: string) => Promise<Codec> }) => Promise<Codec>;
  /** Why `encoder.path` has no effect, to end a sentence; undefined where it names the codec. */
  withoutPath?: string;
  /** Where a method can train it: which one, and the latent shape that the method's own settings would give. */
  planned?: { by: "autoencoder"; shape: (own: unknown, imageSize: number) => CodecDescription["shape"] };
}

const size = z.int().positive();

/** The schema of a codec's description, with its config where it has one. */
export function describedBy<C>({ kind, network }: CodecKind<C>) {
  const common = { kind: z.literal(kind), imageSize: size, shape: z.tuple([size, size, size]), hash: z.string() };
  return z.strictObject(network ? { ...common, config: network.config } : common);
}

/** The setting `encoder.path`, or a usage failure where it is not set. */
export function neededPath(kind: string, path: string | undefined): string {
  if (path) return path;
  throw badUsage(`Cannot encode with "${kind}": encoder.path is not set. Name its folder with --set encoder.path=FOLDER.`);
}
