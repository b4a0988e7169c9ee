/** Turns the latents of a store into tokens, shard by shard, and writes them to a token store. */
import type { OperatorFunction } from "rxjs";
import { textHash } from "../../store/places/hash.ts";
import type { PipelineEvent } from "../../schemas/events.ts";
import { Failure } from "../../schemas/failure.ts";
import { type Draft, type LatentManifest, shardFormatOf, type TokenManifest } from "../../schemas/manifest.ts";
import type { ImageTokenizerDescription } from "../../schemas/model.ts";
import type { Settings } from "../../schemas/settings.ts";
import { gridOf, tokenCount } from "../../models/tokens/image-tokenizer.ts";
import { stage } from "../flow/mod.ts";
import type { OpenTokenizer } from "../sample/tokenizer.ts";
import type { TokenRow } from "../../store/format/columns.ts";
import type { FailedRow } from "../../store/records/journal.ts";
import { stacked } from "../../store/rows/latents.ts";
import { normalise } from "../../store/records/statistics.ts";
import { readFailures, readShard, type Store, writeShard } from "../../store/shards/store.ts";

/** The identity of the token store that these latents give with this tokenizer. Throws a Failure where it reads other latents. */
export function tokenManifestOf(options: {
  latents: { store: Store<LatentManifest>; contents: string };
  tokenizer: ImageTokenizerDescription;
  codec: { kind: string; hash: string };
  /** The run, to name it. */
  run: string;
  settings: Settings;
  version: string;
}): Draft<TokenManifest> {
  const { latents, tokenizer, codec, run, settings, version } = options;
  const { folder, manifest } = latents.store;
  const { encoder, shape, imageSize } = manifest;
  if (String(tokenizer.config.shape) !== String(shape) || encoder.hash !== codec.hash || encoder.kind !== codec.kind) {
    throw new Failure(
      `Cannot tokenize ${folder} by ${run}: its latents are ${shape.join("x")} of ${encoder.kind} ${encoder.hash.slice(0, 12)}, the ` +
        `tokenizer's ${tokenizer.config.shape.join("x")} of ${codec.kind} ${codec.hash.slice(0, 12)}. Name latents of the codec it was ` +
        "trained on.",
    );
  }
  const { device, precision } = settings.engine;
  return {
    shape: [...gridOf(tokenizer.config), 1],
    dtype: "int16",
    ...shardFormatOf(settings.store),
    entries: manifest.entries,
    rowsPerShard: manifest.rowsPerShard,
    classes: manifest.classes,
    imageSize,
    encoder: { kind: encoder.kind, hash: encoder.hash },
    tokenizer: { hash: tokenizer.hash, codes: tokenizer.config.codes, description: textHash(JSON.stringify(tokenizer)) },
    source: { fingerprint: latents.contents },
    // The batch counts for the bytes: where two codes are equally near, a product's last bits decide.
    engine: { device, precision, version, batch: settings.encoder.batch },
  };
}

export interface TokenShard {
  shard: number;
  rows: TokenRow[];
  failed: FailedRow[];
}

/** What was lost on the way so far: squared differences of latents in units of sigmaData. */
export interface Loss {
  sum: number;
  values: number;
}

/** Reads a shard of latents, and makes tokens of its rows. What failed there fails here. Holds one shard. */
export function tokenizeShards(options: {
  latents: Store<LatentManifest>;
  tokenizer: OpenTokenizer;
  loss: Loss;
}): OperatorFunction<number, TokenShard> {
  const { latents, tokenizer, loss } = options;
  const { config, statistics } = tokenizer.description;
  const n = tokenCount(config);
  return stage({
    name: "tokenize",
    capacity: 1,
    work: async (shard): Promise<TokenShard> => {
      const [images, failed] = [await readShard(latents, shard), await readFailures(latents, shard)];
      if (images.length === 0) return { shard, rows: [], failed };
      const scaled = normalise(stacked(images.map(({ latent }) => latent)), statistics, config.sigmaData);
      const tokens = await tokenizer.tokensOf(scaled);
      const again = await tokenizer.latentsOf(tokens);
      for (const [i, value] of scaled.entries()) loss.sum += ((value - (again[i] as number)) / config.sigmaData) ** 2;
      loss.values += scaled.length;
      const rows = images.map(({ latent: _, ...image }, i) => ({ ...image, tokens: Int16Array.from(tokens.subarray(i * n, (i + 1) * n)) }));
      return { shard, rows, failed };
    },
  });
}

/** Writes each shard and lets it through. */
export function writeTokenShards(options: {
  store: Store<TokenManifest>;
  report: (event: PipelineEvent) => void;
}): OperatorFunction<TokenShard, TokenShard> {
  const { store, report } = options;
  const { entries, rowsPerShard } = store.manifest;
  return stage({
    name: "write tokens",
    capacity: 1,
    work: async (item): Promise<TokenShard> => {
      await writeShard(store, item);
      const done = Math.min(entries, (item.shard + 1) * rowsPerShard);
      report({ type: "progress", stage: "tokenize", done, total: entries, unit: "images" });
      return item;
    },
  });
}
