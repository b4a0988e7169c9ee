/** Every codec by its name, and what the rest of the program asks of one. */
import * as z from "zod";
import type { Tensor } from "../../engine/tfjs.ts";
import type { Shapes } from "../../engine/weights.ts";
import { Failure } from "../../schemas/failure.ts";
import type { Rules } from "../../schemas/fit.ts";
import type { Settings } from "../../schemas/settings.ts";
import type { Parameters } from "../layers.ts";
import { autoencoder } from "./autoencoder.ts";
import { type Codec, type CodecDescription, type CodecKind, type CodecNetwork, describedBy } from "./codec.ts";
import { kl } from "./kl-codec.ts";
import { pixel } from "./pixel.ts";
import { taesd } from "./taesd.ts";

export type { CodecDescription, Codec };

type Kind = Settings["encoder"]["kind"];

/** A codec whose config is hidden in it. */
interface BoundCodec extends Pick<CodecKind, "open" | "planned" | "withoutPath"> {
  network?: (config: unknown) => CodecFunctions;
}

/** Images [b, h, w, 3] in [-1, 1] to raw latents [b, h', w', c], and back: traced functions. */
export interface CodecFunctions extends Pick<CodecNetwork<never>, "tile"> {
  /** In words, what of these tensors is not what the codec has. */
  differences: (found: Shapes) => string[];
  encode: (parameters: Parameters, images: Tensor) => Tensor;
  decode: (parameters: Parameters, latents: Tensor) => Tensor;
}

function bound<C>({ open, planned, withoutPath, network }: CodecKind<C>): BoundCodec {
  if (!network) return { open, planned, withoutPath };
  return {
    open,
    planned,
    withoutPath,
    network: (given) => {
      const config = given as C; // read by the codec's own schema
      return {
        ...(network.tile !== undefined && { tile: network.tile }),
        differences: (found) => network.differences(config, found),
        encode: (parameters, images) => network.encode(config, parameters, images),
        decode: (parameters, latents) => network.decode(config, parameters, latents),
      };
    },
  };
}

const codecs: Readonly<Record<Kind, BoundCodec>> = {
  pixel: bound(pixel),
  autoencoder: bound(autoencoder),
  taesd: bound(taesd),
  kl: bound(kl),
};

/** The `format` of codec.json. */
export const codecFormat = "onestep-codec";

/** The content of codec.json: of any codec, with the config that its own file asks for. */
export const codecDescription: z.ZodType<CodecDescription> = z.discriminatedUnion("kind", [
  describedBy(pixel),
  describedBy(autoencoder),
  describedBy(taesd),
  describedBy(kl),
]);

function codecOf(kind: string): BoundCodec {
  if (Object.hasOwn(codecs, kind)) return codecs[kind as Kind];
  throw new Failure(
    `Cannot use a codec of kind "${kind}": there are ${Object.keys(codecs).join(", ")}. Update onestep, or make the folder anew.`,
  );
}

/** The codec that the settings ask for, at the size of the images; `read` reads the one that a run folder holds. */
export async function codecOfSettings(
  { encoder, images }: Pick<Settings, "encoder" | "images">,
  read: (folder: string) => Promise<Codec>,
): Promise<Codec> {
  return codecOf(encoder.kind).open({ path: encoder.path, imageSize: images.size, read });
}

/** What a codec computes; undefined where latents are the pixels themselves. */
export function codecFunctions({ kind, config }: Pick<CodecDescription, "kind" | "config">): CodecFunctions | undefined {
  return codecOf(kind).network?.(config);
}

/** Whether latents of that kind are the images' own pixels, in [-1, 1]: exact, whatever batch they were made in. */
export function isPixels(kind: string): boolean {
  return Object.hasOwn(codecs, kind) && codecs[kind as Kind].network === undefined;
}

/** Settings that may have no effect on an encoder. */
export const codecRules: Rules<Pick<Settings, "encoder">> = {
  idle: [{ settings: ["encoder.path"], why: ({ encoder }) => codecOf(encoder.kind).withoutPath }],
};

/** Whether these settings ask for a codec that no one has trained yet, but that `pretrain` can train. */
export function isYetToTrain({ kind, path }: Pick<Settings["encoder"], "kind" | "path">): boolean {
  return codecOf(kind).planned !== undefined && !path;
}

/** Latent shape [height, width, channels] of a codec that is yet to be trained, by the method whose own settings `settingsOf` knows. */
export function plannedShape(
  { encoder, images }: Pick<Settings, "encoder" | "images">,
  settingsOf: (method: "autoencoder") => unknown,
): CodecDescription["shape"] | undefined {
  const { planned } = codecOf(encoder.kind);
  return planned && isYetToTrain(encoder) ? planned.shape(settingsOf(planned.by), images.size) : undefined;
}
