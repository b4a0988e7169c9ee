/**
 * AutoencoderTiny (TAESD, madebyollin/taesd) from published weights: 4 or 16 latent channels at 1/8 of the image's
 * side, and TAEF2, which adds pool branches and has 32. The layout is read off the keys: position in the sequence,
 * then `conv.0/2/4`, `skip` and `pool.0/1/3`; layers without parameters also take a position. Files hold either the
 * two sequences apart (`1.weight`) or both together as diffusers does (`decoder.layers.0.weight`).
 */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { listed, loadWeights } from "../weights/load.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { hashWeights, type Weights } from "../../engine/weights.ts";
import { Failure } from "../../schemas/failure.ts";
import { sizeInWords } from "../../schemas/images.ts";
import { conv, groupNorm, type Parameters, upsample } from "../layers.ts";
import { type CodecKind, latentSides, neededPath } from "./codec.ts";
import { POOL_GROUPS, type TaesdConfig, taesdDifferences, type TaesdLayer, taesdSchema } from "./taesd-layout.ts";

export interface TaesdFiles {
  encoder: string;
  decoder: string;
}

/**
 * The encoder's and decoder's files at `path`: one file that holds both, a folder or a prefix with `*_encoder` and
 * `*_decoder.safetensors` beside each other, or a diffusers folder. Throws a Failure that lists what is missing.
 */
export function findTaesd(path: string): TaesdFiles {
  const folder = existsSync(path) && statSync(path).isDirectory();
  if (existsSync(path) && !folder) return { encoder: path, decoder: path };
  const find = (part: string): string | undefined => {
    if (!folder) return existsSync(`${path}_${part}.safetensors`) ? `${path}_${part}.safetensors` : undefined;
    const file = readdirSync(path)
      .sort()
      .find((name) => name.endsWith(`${part}.safetensors`));
    return file ? join(path, file) : undefined;
  };
  const both = join(path, "diffusion_pytorch_model.safetensors");
  const [encoder, decoder] = existsSync(both) ? [both, both] : [find("encoder"), find("decoder")];
  if (encoder && decoder) return { encoder, decoder };
  const wanted = folder ? join(path, "*_encoder.safetensors") : `${path}_encoder.safetensors`;
  throw new Failure(
    `Cannot load the autoencoder at "${path}": expected ${wanted} with its decoder beside it, ` +
      "or diffusion_pytorch_model.safetensors; point encoder.path at the folder or the files' common prefix",
  );
}

/** Reads a TAESD-like autoencoder; kernels become [height, width, in, out]. Throws a Failure on any other layout. */
export async function loadTaesd(files: TaesdFiles): Promise<{ config: TaesdConfig; weights: Weights }> {
  const weights: Weights = {};
  const sequence = async (part: "encoder" | "decoder"): Promise<TaesdLayer[]> => {
    const tensors = await readSequence(files[part], part);
    for (const [key, tensor] of Object.entries(tensors)) weights[`${part}.${rename(key)}`] = convert(tensor);
    return layersOf(tensors, part, files[part]);
  };
  const [encoder, decoder] = [await sequence("encoder"), await sequence("decoder")];
  const doublings = decoder.filter(({ kind }) => kind === "up").length;
  const latentChannels = weights[`${encoder.at(-1)?.name}.kernel`]?.shape[3] ?? 0;
  const expected = weights[`${decoder[0]?.name}.kernel`]?.shape[2];
  if (latentChannels !== expected || doublings !== encoder.filter(({ kind }) => kind === "down").length) {
    throw new Failure(
      `Cannot load the autoencoder: the encoder "${files.encoder}" makes ${latentChannels} latent channels and the ` +
        `decoder "${files.decoder}" takes ${expected}; use files of one model`,
    );
  }
  const config = { latentChannels, downsample: 2 ** doublings, encoder, decoder };
  const wrong = taesdDifferences(config, weights);
  if (wrong.length > 0) {
    throw new Failure(
      `Cannot load the autoencoder of "${files.encoder}" and "${files.decoder}": not all of their tensors are those of an ` +
        `AutoencoderTiny (kernels as height, width, in, out): ${listed(wrong)}; fetch the files again`,
    );
  }
  return { config, weights };
}

/** The tensors of one sequence. A file that holds both may hold nothing else. */
async function readSequence(file: string, part: string): Promise<Weights> {
  const prefix = `${part}.layers.`;
  const isNested = (keys: string[]): boolean => keys.some((key) => key.startsWith(prefix));
  const { weights } = await loadWeights(file, {
    differences: (found) => {
      const keys = Object.keys(found);
      return isNested(keys) ? keys.filter((key) => !/^(encoder|decoder)\.layers\./.test(key)).map((key) => `"${key}" is unknown`) : [];
    },
  });
  if (!isNested(Object.keys(weights))) return weights;
  const own = Object.entries(weights).filter(([key]) => key.startsWith(prefix));
  return Object.fromEntries(own.map(([key, tensor]) => [key.slice(prefix.length), tensor]));
}

/** "3.conv.0.weight" is a kernel, "3.pool.1.weight" (the only normalisation) a scale. */
function rename(key: string): string {
  return key.replace("pool.1.weight", "pool.1.scale").replace(/\.weight$/, ".kernel");
}

/** Kernels [out, in, h, w] to [h, w, in, out]; vectors stay. */
function convert({ shape, data }: Weights[string]): Weights[string] {
  if (shape.length !== 4) return { shape, data };
  const [outputs, inputs, height, width] = shape as [number, number, number, number];
  const kernel = new Float32Array(data.length);
  for (let o = 0, at = 0; o < outputs; o++) {
    for (let i = 0; i < inputs; i++) {
      for (let p = 0; p < height * width; p++) kernel[(p * inputs + i) * outputs + o] = data[at++] as number;
    }
  }
  return { shape: [height, width, inputs, outputs], data: kernel };
}

function layersOf(tensors: Weights, part: "encoder" | "decoder", file: string): TaesdLayer[] {
  const refuse = (reason: string): Failure =>
    new Failure(`Cannot load the ${part} "${file}": ${reason}; expected the AutoencoderTiny (TAESD) layout`);
  const positions = new Set(Object.keys(tensors).map((key) => Number(key.split(".")[0])));
  const layers = [...positions]
    .sort((a, b) => a - b)
    .map((position): TaesdLayer => {
      const name = `${part}.${position}`;
      if (tensors[`${position}.conv.4.weight`]) return { kind: "block", name };
      if (!tensors[`${position}.weight`]) throw refuse(`layer "${position}" is neither a convolution nor a block`);
      if (tensors[`${position}.bias`]) return { kind: "conv", name };
      return { kind: part === "encoder" ? "down" : "up", name }; // the convolutions that change resolution have no bias
    });
  if (layers[0]?.kind !== "conv" || layers.at(-1)?.kind !== "conv") throw refuse("it does not begin and end in a convolution");
  return layers;
}

/** Images [b, h, w, 3] in [-1, 1] to raw latents [b, h / 8, w / 8, latentChannels]. */
export function encodeTaesd(config: TaesdConfig, parameters: Parameters, images: Tensor): Tensor {
  const unit = tf.mul(tf.add(images, 1), 0.5); // the network sees [0, 1]
  return config.encoder.reduce((x, layer) => applyLayer(parameters, layer, x), unit);
}

/** Raw latents [b, h, w, latentChannels] to images [b, 8 h, 8 w, 3], about [-1, 1] but not clamped. */
export function decodeTaesd(config: TaesdConfig, parameters: Parameters, latents: Tensor): Tensor {
  const [first, ...rest] = config.decoder as [TaesdLayer, ...TaesdLayer[]];
  const clamped = tf.mul(tf.tanh(tf.mul(latents, 1 / 3)), 3);
  const start = tf.relu(applyLayer(parameters, first, clamped));
  const unit = rest.reduce((x, layer) => applyLayer(parameters, layer, x), start);
  return tf.sub(tf.mul(unit, 2), 1);
}

function applyLayer(parameters: Parameters, { kind, name }: TaesdLayer, x: Tensor): Tensor {
  if (kind === "block") return block(parameters, name, x);
  if (kind === "up") return conv(parameters, name, upsample(x));
  if (kind === "conv") return conv(parameters, name, x);
  // Padding of one pixel on every side, as in PyTorch: "same" would pad stride 2 on the far sides only.
  const padded = tf.pad(x, [
    [0, 0],
    [1, 1],
    [1, 1],
    [0, 0],
  ]);
  return tf.conv2d(padded as never, parameters[`${name}.kernel`] as never, 2, "valid");
}

function block(parameters: Parameters, name: string, x: Tensor): Tensor {
  const input = parameters[`${name}.pool.0.kernel`] ? tf.add(x, pool(parameters, `${name}.pool`, x)) : x;
  let y = tf.relu(conv(parameters, `${name}.conv.0`, input));
  y = tf.relu(conv(parameters, `${name}.conv.2`, y));
  y = conv(parameters, `${name}.conv.4`, y);
  const skip = parameters[`${name}.skip.kernel`] ? conv(parameters, `${name}.skip`, input) : input;
  return tf.relu(tf.add(y, skip));
}

/** TAEF2's branch that lets a block see the whole image: 1x1 convolutions around a normalisation over all positions. */
function pool(parameters: Parameters, name: string, x: Tensor): Tensor {
  const normal = groupNorm(parameters, `${name}.1`, conv(parameters, `${name}.0`, x), POOL_GROUPS);
  return conv(parameters, `${name}.3`, tf.relu(normal));
}

export const taesd = {
  kind: "taesd",
  network: { config: taesdSchema, differences: taesdDifferences, encode: encodeTaesd, decode: decodeTaesd },
  latent: ({ latentChannels, downsample }, imageSize) => [...latentSides(imageSize, downsample), latentChannels],
  open: async ({ path, imageSize }) => {
    const place = neededPath("taesd", path);
    const { config, weights } = await loadTaesd(findTaesd(place));
    const sides = latentSides(imageSize, config.downsample);
    if (!sides.every(Number.isInteger)) {
      throw new Failure(
        `Cannot encode images of ${sizeInWords(imageSize)}: the encoder in ${place} needs a multiple of ${config.downsample} (images.size)`,
      );
    }
    return {
      description: { kind: "taesd", imageSize, shape: [...sides, config.latentChannels], hash: hashWeights(weights), config },
      weights,
    };
  },
} satisfies CodecKind<TaesdConfig>;
