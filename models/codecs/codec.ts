/**
 * What a codec is: a way from images to latents and back. One file a codec exports such an object, and codecs.ts finds it
 * by the name that settings, codec.json and store.json give it.
 */
import * as z from "zod";
import type { Tensor } from "../../engine/tfjs.ts";
import type { Shapes, Weights } from "../../engine/weights.ts";
import { badUsage } from "../../schemas/failure.ts";
import { type ImageSize, sidesOf, sizeInWords } from "../../schemas/images.ts";
import type { Parameters } from "../layers.ts";

/** What codec.json says of every codec; a codec with a network adds its config. */
export interface CodecDescription {
  kind: string;
  imageSize: ImageSize;
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
  /** In words, what of these tensors is not what such a network has: none where all fit. */
  differences: (config: C, found: Shapes) => string[];
  encode: (config: C, parameters: Parameters, images: Tensor) => Tensor;
  decode: (config: C, parameters: Parameters, latents: Tensor) => Tensor;
  /**
   * Side of latents above which they are decoded in tiles of that side (tiles.ts), and no more pixels of latents than such a tile has are
   * computed at once; undefined where the batch alone bounds them.
   */
  tile?: number;
}

export interface CodecKind<C = never> {
  kind: string;
  /** Undefined where a pixel, scaled to [-1, 1], is a latent: nothing is computed, and no bit depends on a batch. */
  network?: CodecNetwork<C>;
  /** Shape of the latent of an image of this size; throws a Failure, or answers fractions, where it does not divide. */
  latent: (config: C, imageSize: ImageSize) => CodecDescription["shape"];
  /**
   * The codec of these settings, for images of this size. `read` reads the codec that a run folder holds. Throws a
   * Failure where files are missing or the size does not divide.
   */
  open: (options: { path?: string; imageSize: ImageSize; read: (folder: string) => Promise<Codec> }) => Promise<Codec>;
  /** Why `encoder.path` has no effect, to end a sentence; undefined where it names the codec. */
  withoutPath?: string;
  /** Where a method can train it: which one, and the latent shape that the method's own settings would give. */
  planned?: { by: "autoencoder"; shape: (own: unknown, imageSize: number) => CodecDescription["shape"] };
}

const size = z.int().positive();

/** Sides of the latents of images of this size; fractions where `factor` does not divide it. */
export const latentSides = (imageSize: ImageSize, factor: number): [number, number] => {
  const [height, width] = sidesOf(imageSize);
  return [height / factor, width / factor];
};

/** The schema of a codec's description, with its config where it has one: the latent's shape must be the one that follows. */
export function describedBy<C>({ kind, network, latent }: CodecKind<C>) {
  const common = { kind: z.literal(kind), imageSize: z.union([size, z.tuple([size, size])]), shape: z.tuple([size, size, size]) };
  const described = network
    ? z.strictObject({ ...common, hash: z.string().regex(/^[0-9a-f]{64}$/), config: network.config })
    : z.strictObject({ ...common, hash: z.literal(kind) });
  return described.superRefine((description, context) => {
    const { shape, imageSize, config } = description as CodecDescription;
    const wanted = shapeIfAny(() => latent(config as C, imageSize));
    if (String(shape) === wanted) return;
    const message = `images of ${sizeInWords(imageSize)} have no latents of ${shape.join("x")} by this codec`;
    context.addIssue({ code: "custom", path: ["shape"], message });
  });
}

/** The shape in words; undefined where there is none. */
function shapeIfAny(of: () => readonly number[]): string | undefined {
  try {
    return String(of());
  } catch {
    return undefined;
  }
}

/** The setting `encoder.path`, or a usage failure where it is not set. */
export function neededPath(kind: string, path: string | undefined): string {
  if (path) return path;
  throw badUsage(`Cannot encode with "${kind}": encoder.path is not set. Name its folder with --set encoder.path=FOLDER.`);
}
