/** Encodes and decodes images in a worker: between pixels and latents, by the codec a folder describes. */
import { createEngine } from "../../engine/engine.ts";
import { filled } from "../../engine/fill.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import { elements, type Weights } from "../../engine/weights.ts";
import { type CodecDescription, type CodecFunctions, codecFunctions } from "../../models/codecs/codecs.ts";
import { decodeInTiles } from "../../models/codecs/tiles.ts";
import type { Parameters } from "../../models/layers.ts";
import { sidesOf } from "../../schemas/images.ts";
import { countNotFinite } from "../../schemas/numbers/finite.ts";
import type { EngineSettings } from "../../schemas/settings.ts";
import { deviceOf } from "./device.ts";

export interface CodecOptions {
  description: CodecDescription;
  weights: Weights;
  batch: number;
  engine: EngineSettings;
}

/** What a compiled program makes of a batch of rows. */
type Batch = (x: Float32Array) => Promise<Float32Array>;

/** The worker's methods; see engine/compute.ts. Each program is compiled when first needed. */
export async function create({ description, weights, batch, engine: where }: CodecOptions) {
  const engine = await createEngine(deviceOf(where));
  const { shape } = description;
  const [height, width] = sidesOf(description.imageSize);
  const functions = codecFunctions(description);
  const { tile = Number.POSITIVE_INFINITY } = functions ?? {};
  const atOnce = Math.max(1, Math.min(batch, Math.floor(tile ** 2 / (shape[0] * shape[1]))));
  const image = [atOnce, height, width, 3];
  const latent = [atOnce, ...shape];
  const compile = async (name: string, from: number[], apply: (parameters: Parameters, x: Tensor) => Tensor): Promise<Batch> => {
    const program = await engine.compile({
      name,
      sets: { codec: engine.constants("codec", weights) },
      inputs: { x: { shape: from } },
      run: ({ codec }, { x }) => ({ outputs: { y: apply(codec, x as Tensor) } }),
    });
    return async (x) => (await program.run({ x })).y as Float32Array;
  };
  let encoder: Promise<Batch> | undefined;
  let decoder: Promise<Batch> | undefined;

  /** The decoder of latents that are larger than a tile, one at a time. */
  async function tiledDecoder(decode: CodecFunctions["decode"]): Promise<Batch> {
    const [tall, wide, channels] = shape;
    const piece = [1, Math.min(tile, tall), Math.min(tile, wide), channels];
    const decoded = [1, ...piece.slice(1, 3).map((side) => (side * height) / tall), 3];
    const apply = await compile("decode a tile", piece, decode);
    return async (x) => {
      const latents = { shape: latent, data: x };
      const whole = await decodeInTiles({ latents, tile, decode: async ({ data }) => ({ shape: decoded, data: await apply(data) }) });
      return whole.data;
    };
  }

  /** Applies a program to any number of rows, filling the last batch with zeros. */
  async function inBatches(apply: Batch, x: Float32Array, from: number[], to: number[]): Promise<Float32Array> {
    const [inSize, outSize] = [from, to].map((s) => elements(s.slice(1))) as [number, number];
    const rows = x.length / inSize;
    const y = new Float32Array(rows * outSize);
    for (let row = 0; row < rows; row += atOnce) {
      const part = x.subarray(row * inSize, Math.min(row + atOnce, rows) * inSize);
      const result = await apply(filled(part, atOnce * inSize));
      y.set(result.subarray(0, (part.length / inSize) * outSize), row * outSize);
    }
    return y;
  }

  /** Raw latents [rows * h * w * c] -> images [rows * height * width * 3], about -1 to 1. */
  async function values(latents: Float32Array): Promise<Float32Array> {
    if (!functions) return latents;
    const isTiled = Math.max(shape[0], shape[1]) > tile;
    decoder ??= isTiled ? tiledDecoder(functions.decode) : compile("decode", latent, functions.decode);
    return inBatches(await decoder, latents, latent, image);
  }

  return {
    values,
    /** Pixels [rows * height * width * 3], 0 to 255 -> raw latents [rows * h * w * c]. */
    encode: async (pixels: Uint8Array): Promise<Float32Array> => {
      const scaled = Float32Array.from(pixels, (value) => value / 127.5 - 1);
      if (!functions) return scaled;
      encoder ??= compile("encode", image, functions.encode);
      return inBatches(await encoder, scaled, image, latent);
    },
    /**
     * Raw latents [rows * h * w * c] -> pixels [rows * height * width * 3], rounded and clamped to 0..255. Values that are not
     * finite, of which `notFinite` counts the rows, come out as black or white.
     */
    decode: async (latents: Float32Array): Promise<{ pixels: Uint8Array; notFinite: number }> => {
      const made = await values(latents);
      const each = height * width * 3;
      let notFinite = 0;
      for (let at = 0; at < made.length; at += each) if (countNotFinite(made.subarray(at, at + each)) > 0) notFinite++;
      const rounded = Uint8ClampedArray.from(made, (value) => (value + 1) * 127.5); // this kind of array rounds and clamps
      return { pixels: Uint8Array.from(rounded), notFinite };
    },
  };
}

export type CodecWorker = Awaited<ReturnType<typeof create>>;
