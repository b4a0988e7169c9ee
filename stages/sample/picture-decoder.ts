/** Turns normalised latents into picture grids: undoes the normalisation, decodes in a worker, writes a PNG. */
import type { DenoiserSpec } from "../../models/denoiser.ts";
import type { Context } from "../../schemas/events.ts";
import type { EngineSettings } from "../../schemas/settings.ts";
import type { CodecWorker } from "../workers/codec.ts";
import type { Codec } from "../runs/model.ts";
import { type Picture, sidesOf } from "../../schemas/images.ts";
import { writeGrid } from "../picture/write-grid.ts";
import { denormalise, type Statistics } from "../../store/records/statistics.ts";
import { startWorker } from "../workers/start.ts";

export interface PictureDecoder {
  /**
   * Images of latents [rows * h * w * c]. Values that are not finite show as black or white; `onNotFinite` is told of how
   * many images had any, and may throw.
   */
  decode: (latents: Float32Array, onNotFinite?: (images: number) => void) => Promise<Picture[]>;
  /** The same as numbers [rows * size * size * 3], about -1 to 1, before they are rounded and held to that. */
  values: (latents: Float32Array) => Promise<Float32Array>;
  writeGrid: (options: {
    path: string;
    latents: Float32Array;
    columns: number;
    captions?: string[];
    rowLabels?: string[];
  }) => Promise<void>;
  close: () => Promise<void>;
}

/** Decodes latents as the codec makes them, or as a denoiser does where `spec` and `statistics` are given. */
export async function createPictureDecoder(options: {
  codec: Codec;
  engine: EngineSettings;
  context: Context;
  spec?: { diffusion: Pick<DenoiserSpec["diffusion"], "sigmaData"> };
  statistics?: Statistics;
  /** Latents decoded at once; 16 unless given. */
  batch?: number;
}): Promise<PictureDecoder> {
  const { codec, engine, context, spec, statistics, batch = 16 } = options;
  const compute = await startWorker<CodecWorker>({
    name: "image decoder",
    module: new URL("../workers/codec.ts", import.meta.url),
    remedy: "lower images.size",
    options: { ...codec, batch, engine },
    signal: context.signal,
  });
  const [height, width] = sidesOf(codec.description.imageSize);
  const raw = (latents: Float32Array): Float32Array =>
    spec && statistics ? denormalise(latents, statistics, spec.diffusion.sigmaData) : latents;
  const decode: PictureDecoder["decode"] = async (latents, onNotFinite) => {
    const { pixels, notFinite } = await compute.call("decode", raw(latents));
    if (notFinite > 0) onNotFinite?.(notFinite);
    const length = height * width * 3;
    return Array.from({ length: pixels.length / length }, (_, i) => ({
      pixels: pixels.subarray(i * length, (i + 1) * length),
      width,
      height,
    }));
  };
  return {
    decode,
    values: (latents) => compute.call("values", raw(latents)),
    writeGrid: async ({ path, latents, ...words }) => {
      await writeGrid({ path, images: await decode(latents), ...words, scale: Math.max(height, width) < 48 ? 2 : 1 });
    },
    close: compute.close,
  };
}
