/** Tokenizers as pipelines publish them, in folders of tokenizer.json, of vocab.json and merges.txt (CLIP), or of spiece.model (T5). */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import * as z from "zod";
import { Failure } from "../../schemas/failure.ts";
import { parsedJson } from "../../schemas/json.ts";
import { absent } from "../../schemas/system-error.ts";
import { readUnigram } from "./sentencepiece.ts";
import { readSpecialTokens, type SpecialTokens } from "./special-tokens.ts";
import { clipJson, mergesOf, type TokenizerJson, t5Json } from "./tokenizer-json.ts";

export interface PublishedTokenizer {
  /** Ids of a text with the tokens that begin and end it, as many as it takes. */
  ids: (text: string) => number[];
  /**
   * Ids [length] of a text: cut so that the end still stands, or padded; `count` of them are not padding. Without a length as many as
   * its network takes.
   */
  encode: (text: string, length?: number) => { ids: Int32Array; count: number };
  /** How many tokens its network takes, where it says so. */
  window?: number;
  /** The id of padding. */
  padding: number;
  /** The id that ends a text. */
  end: number;
  /** What a tokenizer.json of it holds. */
  json: TokenizerJson;
}

/** Opens a tokenizer folder. Throws a Failure where it holds none of the files, or one that cannot be read. */
export async function openTokenizer(folder: string): Promise<PublishedTokenizer> {
  const tokens = await readSpecialTokens(folder);
  const { json, file } = await readTokenizer(folder, tokens);
  try {
    return publishedTokenizer(json, tokens);
  } catch (error) {
    throw new Failure(`Cannot use the tokenizer ${file}: ${(error as Error).message}. Fetch it again.`, { cause: error });
  }
}

async function readTokenizer(folder: string, tokens: SpecialTokens): Promise<{ json: TokenizerJson; file: string }> {
  const kinds: [name: string, convert: (bytes: Buffer) => Promise<TokenizerJson>][] = [
    ["tokenizer.json", async (bytes) => tokenizerJson.parse(parsedJson(bytes.toString("utf8")))],
    [
      "vocab.json",
      async (bytes) => {
        const merges = mergesOf(await readFile(join(folder, "merges.txt"), "utf8"));
        return clipJson({ vocabulary: vocabularyJson.parse(parsedJson(bytes.toString("utf8"))), merges }, tokens);
      },
    ],
    ["spiece.model", async (bytes) => t5Json(readUnigram(bytes), tokens)],
  ];
  for (const [name, convert] of kinds) {
    const file = join(folder, name);
    const bytes = await readFile(file).catch(absent);
    if (!bytes) continue;
    const json = await convert(bytes).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== undefined && error.path !== undefined) throw error; // of the other file
      const why = error instanceof z.ZodError ? z.prettifyError(error) : error.message;
      throw new Failure(`Cannot read the tokenizer ${file}: ${why}. Fetch it again.`, { cause: error });
    });
    return { json, file };
  }
  const names = kinds.map(([name]) => name).join(", ");
  throw new Failure(`Cannot find a tokenizer in ${folder}: it has none of ${names}. Name the tokenizer's folder of a pipeline.`);
}

const vocabularyJson = z.record(z.string(), z.int());

const tokenizerJson = z.looseObject({
  added_tokens: z.array(z.unknown()),
  decoder: z.unknown().optional(),
  model: z.looseObject({}),
  normalizer: z.unknown().optional(),
  post_processor: z.unknown().optional(),
  pre_tokenizer: z.unknown().optional(),
}) as z.ZodType<TokenizerJson>;

/** A tokenizer of a tokenizer.json's contents. Throws an Error that says what it lacks. */
export function publishedTokenizer(json: TokenizerJson, { eos, pad, window }: Omit<SpecialTokens, "added" | "extra">): PublishedTokenizer {
  const tokenizer = new Tokenizer(json, {});
  const ids = (text: string): number[] => tokenizer.encode(text).ids;
  const end = ids("").at(-1) ?? tokenizer.token_to_id(eos ?? "");
  if (end === undefined) throw new Error("it has no token that ends a text");
  const padding = tokenizer.token_to_id(pad ?? "<pad>") ?? (pad === undefined ? end : undefined); // CLIP's pads with its end
  if (padding === undefined) throw new Error(`it has no token "${pad}", which is to be the padding`);
  const encode: PublishedTokenizer["encode"] = (text, length = window) => {
    if (length === undefined) throw new Error("Cannot encode a text: neither the call nor the tokenizer says how many tokens");
    const whole = ids(text);
    const kept = whole.length > length ? [...whole.slice(0, length - 1), end] : whole;
    const padded = new Int32Array(length).fill(padding);
    padded.set(kept);
    return { ids: padded, count: kept.length };
  };
  return { ids, encode, ...(window !== undefined && { window }), padding, end, json };
}
