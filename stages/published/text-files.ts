/** The text side of a published pipeline's folder: which encoders and tokenizers it has, as a specification holds them. */
import { existsSync, createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { weightsIn } from "../../models/published/folder.ts";
import { besidePart, hasPart, openPart, readIndex } from "../../models/published/part-files.ts";
import { isSingleFile } from "../../models/published/single-file.ts";
import { openTokenizer } from "../../models/text/published-tokenizer.ts";
import { type PublishedText, publishedText, type TextPart, textPipelines } from "../../models/text/published-text.ts";
import { parseIndex } from "../../models/weights/shards.ts";
import { badUsage, Failure } from "../../schemas/failure.ts";
import type { LoraRequest } from "../../schemas/model.ts";
import type { TextSettings } from "../../schemas/settings.ts";
import { sha256Pieces, textHash } from "../../store/places/hash.ts";
import { checkEncoder } from "./complete.ts";
import { checkLoraFile } from "./lora.ts";

/** Files of a tokenizer's folder that say what it is. */
const TOKENIZER_FILES = [
  ...["tokenizer.json", "vocab.json", "merges.txt", "spiece.model"],
  ...["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"],
];

/** What model_index.json says of the text side. */
export interface TextIndex {
  pipeline: string;
  side: PublishedText;
  /** Whether a missing negative prompt is zeros. */
  hasZeroNegative: boolean;
}

/** Reads it. Throws a Failure where there is no such file, or where pipelines of its class are not known to read text. */
export async function readTextIndex(folder: string): Promise<TextIndex> {
  const index = await readIndex(folder);
  const pipeline = String(index?._class_name);
  const side = publishedText(pipeline);
  if (!side) {
    const what = index
      ? `pipelines of its class "${pipeline}" are not known here, only ${textPipelines.join(", ")}`
      : "it has no model_index.json";
    throw new Failure(`Cannot read texts as ${folder} does: ${what}. Name the folder of a whole pipeline.`);
  }
  const { force_zeros_for_empty_prompt: isForced = side.hasZeroNegative } = index as Record<string, unknown>;
  return { pipeline, side, hasZeroNegative: isForced === true };
}

/** Whether a pipeline has the encoder of a part. Throws a Failure where it must and has not. */
export async function hasEncoder(folder: string, { encoder, isOptional = false }: TextPart): Promise<boolean> {
  if (await hasPart(join(folder, encoder))) return true;
  if (isOptional) return false;
  throw new Failure(`Cannot read texts as ${folder} does: it has no ${join(encoder, "config.json")}. Fetch the whole pipeline.`);
}

/** The folder of a part's tokenizer, which lies beside one file. Throws a Failure where it does not. */
export function tokenizerIn(folder: string, { tokenizer }: TextPart): string {
  const place = besidePart(join(folder, tokenizer));
  if (place === join(folder, tokenizer) || existsSync(place)) return place;
  throw new Failure(
    `Cannot read texts as ${folder} does: one file holds no tokenizer, and there is no folder ${place}. ` +
      `Put the folder "${tokenizer}" of any pipeline of its kind there.`,
  );
}

/**
 * The text side of a folder with the hash of all files that it is read from, and of the LoRAs that are added to it, which takes its time:
 * a plan does without (`isHashed` false). T5 is given `textLength` tokens, as many as the pipeline gives unless told. Throws a Failure
 * where a file is missing.
 */
export async function readTextSettings(
  folder: string,
  options: { textLength?: number | undefined; isHashed?: boolean; loras?: readonly LoraRequest[] | undefined } = {},
): Promise<TextSettings> {
  const { textLength, isHashed = true, loras = [] } = options;
  const { pipeline, side, hasZeroNegative } = await readTextIndex(folder);
  if (textLength !== undefined && side.parts.every(({ length }) => length === undefined)) {
    throw badUsage(
      `Cannot give ${folder} texts of ${textLength} tokens (simulate.textLength): it has no T5, and its CLIP reads as many as it ` +
        "was trained with; leave the setting out",
    );
  }
  const lengths: number[] = [];
  const hashes: Record<string, string> = {};
  for (const part of side.parts) {
    const isThere = await hasEncoder(folder, part);
    lengths.push((part.length && (textLength ?? part.length)) ?? (await lengthOf(folder, part)));
    if (isThere && isHashed) for (const [name, path] of await filesOf(folder, part)) hashes[name] = await fileHash(path);
  }
  for (const [i, { path, scale }] of isHashed ? loras.entries() : []) {
    await checkLoraFile(path);
    hashes[`LoRA ${i}`] = `${scale} ${await fileHash(path)}`;
  }
  return { pipeline, lengths, hash: textHash(JSON.stringify({ pipeline, hasZeroNegative, hashes })) };
}

/** CLIP's, where a config leaves it out. */
const POSITIONS = 77;

/** How many tokens a part reads: as many as its tokenizer says, where it does, and no more than the encoder has positions for. */
async function lengthOf(folder: string, part: TextPart): Promise<number> {
  const { window = Number.POSITIVE_INFINITY } = await openTokenizer(tokenizerIn(folder, part));
  const { json } = await openPart(join(folder, part.encoder));
  const { max_position_embeddings: positions = POSITIONS } = json as { max_position_embeddings?: number };
  return Math.min(window, positions);
}

/** Throws a Failure where an encoder's file is not that of its network (complete.ts). */
export async function checkTextEncoders(folder: string, lengths: readonly number[]): Promise<void> {
  const { side } = await readTextIndex(folder);
  for (const [i, part] of side.parts.entries()) {
    const { encoder, isMasked = false } = part;
    if (await hasEncoder(folder, part)) await checkEncoder({ place: join(folder, encoder), length: lengths[i] as number, isMasked });
  }
}

/** The files that a part is read from, by their names in the hash: their paths in the folder. */
async function filesOf(folder: string, part: TextPart): Promise<[name: string, path: string][]> {
  const { encoder, tokenizer } = part;
  const tokens = tokenizerIn(folder, part);
  const own = TOKENIZER_FILES.filter((name) => existsSync(join(tokens, name))).map((name): [string, string] => [
    join(tokenizer, name),
    join(tokens, name),
  ]);
  if (isSingleFile(folder)) return [[encoder, folder], ...own];
  const weights = await weightsIn(join(folder, encoder));
  const shards = weights.endsWith(".json") ? [...(await parseIndex(weights)).keys()] : [];
  const relative = [weights, ...shards].map((path) => path.slice(folder.length).replace(/^[/\\]/, ""));
  return [...[join(encoder, "config.json"), ...relative].map((name): [string, string] => [name, join(folder, name)]), ...own];
}

/** Hashes of files, by path, size and time of change: several gigabytes are read once in a process. */
const known = new Map<string, Promise<string>>();

async function fileHash(path: string): Promise<string> {
  const { size, mtimeMs } = await stat(path);
  const key = `${path} ${size} ${mtimeMs}`;
  const hash = known.get(key) ?? sha256Pieces(createReadStream(path, { highWaterMark: 2 ** 22 }));
  known.set(key, hash);
  return hash;
}
