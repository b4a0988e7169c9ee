/** The image tokenizer of a run folder, ready to use: its network runs in a worker. */
import type { Context } from "../../schemas/events.ts";
import type { ImageTokenizerDescription } from "../../schemas/model.ts";
import type { EngineSettings } from "../../schemas/settings.ts";
import { type Codec, type ImageTokenizer, readCodec, readImageTokenizer, readStoresTokenizer } from "../runs/model.ts";
import { startWorker } from "../workers/start.ts";
import type { TokenizerWorker } from "../workers/tokenizer.ts";

export interface OpenTokenizer {
  description: ImageTokenizerDescription;
  /** Of the latents, which stands beside the tokenizer. */
  codec: Codec;
  /** Latents [rows * h * w * c] normalised by `description.statistics` to `config.sigmaData` -> tokens [rows * n]. */
  tokensOf: (latents: Float32Array) => Promise<Int32Array>;
  /** Tokens [rows * n] -> the map of their codes [rows * h' * w' * dimension], unit vectors: what a decoder is conditioned on. */
  codesOf: (tokens: Int32Array) => Promise<Float32Array>;
  /** Tokens [rows * n] -> latents [rows * h * w * c] in the model's scale, by the tokenizer's own decoder. */
  latentsOf: (tokens: Int32Array) => Promise<Float32Array>;
  close: () => Promise<void>;
}

/** Opens the image tokenizer in `path`; `batch` rows go through it at once. Throws a Failure where the folder holds none. */
export async function openTokenizer(options: {
  path: string;
  engine: EngineSettings;
  context: Context;
  batch?: number;
}): Promise<OpenTokenizer> {
  const { path, engine, context, batch = 16 } = options;
  return started(await readImageTokenizer(path), path, { engine, context, batch });
}

/** Opens the image tokenizer that stands in the folder of a token store. */
export async function openStoresTokenizer(options: { folder: string; engine: EngineSettings; context: Context }): Promise<OpenTokenizer> {
  const { folder, ...rest } = options;
  return started(await readStoresTokenizer(folder), folder, { ...rest, batch: 16 });
}

async function started(
  { description, weights }: ImageTokenizer,
  folder: string,
  { engine, context, batch }: { engine: EngineSettings; context: Context; batch: number },
): Promise<OpenTokenizer> {
  const codec = await readCodec(folder, context);
  const compute = await startWorker<TokenizerWorker>({
    name: "image tokenizer",
    module: new URL("../workers/tokenizer.ts", import.meta.url),
    remedy: "lower encoder.batch",
    options: { config: description.config, weights, batch, engine },
    signal: context.signal,
  });
  return {
    description,
    codec,
    close: compute.close,
    tokensOf: (latents) => compute.call("tokens", latents),
    codesOf: (tokens) => compute.call("codes", tokens),
    latentsOf: (tokens) => compute.call("latents", tokens),
  };
}
