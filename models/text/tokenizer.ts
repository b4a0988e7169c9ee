/**
 * Word pieces learned from captions by byte-pair merging (Sennrich et al. 2016): deterministic, small, and total. A
 * character the captions never showed is spelt as its UTF-8 bytes, two half-byte pieces each, so every text has an
 * encoding and decoding gives it back, lower-cased and with single spaces.
 */
import * as z from "zod";
import { badUsage, Failure } from "../../schemas/failure.ts";

/** What a tokenizer is made of; plain JSON. Pieces are numbered: padding, end, half-bytes, characters, merges. */
const tokenizerSchema = z.strictObject({
  format: z.literal("onestep-tokenizer/1"),
  characters: z.array(z.string().min(1)),
  merges: z.array(z.tuple([z.string().min(1), z.string().min(1)])),
});

export type TokenizerData = z.infer<typeof tokenizerSchema>;

export interface Tokenizer {
  data: TokenizerData;
  /** Number of pieces, padding included. */
  size: number;
  /** Ids of all pieces of a caption, without an end piece. */
  ids: (caption: string) => number[];
  /** Ids of a caption, [length]: its pieces cut to length - 1, the end piece, padding. */
  encode: (caption: string, length: number) => Int32Array;
  /** The text of ids up to the end piece. */
  decode: (ids: ArrayLike<number>) => string;
}

export const PADDING = 0;
const END = 1;
const HALF_BYTES = 2;
const FIRST_CHARACTER = HALF_BYTES + 16;
/** The fewest word pieces of a tokenizer: half of them are for bytes, padding and ends. */
export const LEAST_PIECES = 2 * FIRST_CHARACTER;

/** Words and punctuation marks of a lower-cased text; the space before one belongs to it. */
function words(text: string): string[] {
  const spaced = ` ${text.normalize("NFC").toLowerCase().trim().replace(/\s+/gu, " ")}`;
  return spaced.match(/ ?[\p{L}\p{M}\p{N}]+| ?[^\s\p{L}\p{M}\p{N}]/gu) ?? [];
}

const before = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * Learns at most `vocabulary` pieces from captions. Characters enter by frequency and fill at most half of the
 * vocabulary; then the most frequent adjacent pair merges, again and again, until the vocabulary is full or no pair
 * occurs twice. Ties go to the pair first in code-unit order, so the result depends on the captions' counts alone.
 */
export function learnTokenizer({ captions, vocabulary }: { captions: Iterable<string>; vocabulary: number }): TokenizerData {
  if (vocabulary < LEAST_PIECES) {
    throw badUsage(`Cannot learn a tokenizer of ${vocabulary} pieces: network.vocabulary must be at least ${LEAST_PIECES}`);
  }
  const counts = new Map<string, number>();
  for (const caption of captions) for (const word of words(caption)) counts.set(word, (counts.get(word) ?? 0) + 1);

  const characterCounts = new Map<string, number>();
  for (const [word, count] of counts) {
    for (const character of word) characterCounts.set(character, (characterCounts.get(character) ?? 0) + count);
  }
  const characters = [...characterCounts]
    .sort(([a, m], [b, n]) => n - m || before(a, b))
    .slice(0, Math.floor(vocabulary / 2) - FIRST_CHARACTER)
    .map(([character]) => character);
  const merges = learnMerges({
    counts,
    characters: new Set(characters),
    limit: vocabulary - FIRST_CHARACTER - characters.length,
  });
  return { format: "onestep-tokenizer/1", characters, merges };
}

/** Adjacent pieces as one key; pieces hold no line breaks, because words hold no white space but the leading space. */
const pairKey = (left: string, right: string): string => `${left}\n${right}`;

function learnMerges({
  counts,
  characters,
  limit,
}: {
  counts: Map<string, number>;
  characters: Set<string>;
  limit: number;
}): [string, string][] {
  // Unknown characters break a word in two: no merge may cross them.
  const spellings = [...counts].flatMap(([word, count]) => {
    const runs: string[][] = [[]];
    for (const character of word) {
      if (characters.has(character)) (runs.at(-1) as string[]).push(character);
      else runs.push([]);
    }
    return runs.filter((run) => run.length > 1).map((pieces) => ({ pieces, count }));
  });
  // How often each pair occurs, and in which spellings it may (a superset: entries are not withdrawn).
  const totals = new Map<string, number>();
  const places = new Map<string, Set<number>>();
  const tally = (index: number, sign: 1 | -1) => {
    const { pieces, count } = spellings[index] as (typeof spellings)[number];
    for (let i = 0; i + 1 < pieces.length; i++) {
      const key = pairKey(pieces[i] as string, pieces[i + 1] as string);
      totals.set(key, (totals.get(key) ?? 0) + sign * count);
      if (sign > 0) places.set(key, (places.get(key) ?? new Set()).add(index));
    }
  };
  for (let index = 0; index < spellings.length; index++) tally(index, 1);

  const merges: [string, string][] = [];
  while (merges.length < limit) {
    let [best, most] = ["", 1];
    for (const [key, total] of totals) {
      if (total > most || (total === most && total > 1 && key < best)) [best, most] = [key, total];
    }
    if (most < 2) break;
    const [left, right] = best.split("\n") as [string, string];
    merges.push([left, right]);
    for (const index of places.get(best) as Set<number>) {
      const spelling = spellings[index] as (typeof spellings)[number];
      tally(index, -1);
      spelling.pieces = merge(spelling.pieces, left, right);
      tally(index, 1);
    }
    totals.delete(best);
  }
  return merges;
}

/** Joins every occurrence of left, right, from the start of the word. */
function merge(pieces: string[], left: string, right: string): string[] {
  const out: string[] = [];
  for (let i = 0; i < pieces.length; i++) {
    if (pieces[i] === left && pieces[i + 1] === right) {
      out.push(left + right);
      i++;
    } else out.push(pieces[i] as string);
  }
  return out;
}

/** A tokenizer from what `learnTokenizer` made. */
export function createTokenizer(data: TokenizerData): Tokenizer {
  const pieces = ["", "", ...Array.from({ length: 16 }, () => ""), ...data.characters];
  pieces.push(...data.merges.map(([left, right]) => left + right));
  const ids = new Map<string, number>();
  for (let id = FIRST_CHARACTER; id < pieces.length; id++) {
    if (!ids.has(pieces[id] as string)) ids.set(pieces[id] as string, id);
  }
  const ranks = new Map(data.merges.map(([left, right], rank) => [pairKey(left, right), rank]));
  const known = new Map<string, number[]>();

  const spell = (word: string): number[] => {
    let spelling = [...word];
    for (;;) {
      let best = Number.POSITIVE_INFINITY;
      for (let i = 0; i + 1 < spelling.length; i++) {
        best = Math.min(best, ranks.get(pairKey(spelling[i] as string, spelling[i + 1] as string)) ?? best);
      }
      const pair = data.merges[best];
      if (!pair) return spelling.flatMap((piece) => ids.get(piece) ?? halfBytes(piece));
      spelling = merge(spelling, ...pair);
    }
  };
  const idsOf = (word: string): number[] => {
    const found = known.get(word) ?? spell(word);
    known.set(word, found);
    return found;
  };

  const allIds = (caption: string): number[] => words(caption).flatMap(idsOf);

  return {
    data,
    size: pieces.length,
    ids: allIds,
    encode: (caption, length) => {
      const out = new Int32Array(length).fill(PADDING);
      out.set([...allIds(caption).slice(0, length - 1), END]);
      return out;
    },
    decode: (sequence) => {
      const bytes: number[] = [];
      const encoder = new TextEncoder();
      let high: number | undefined;
      for (const id of Array.from(sequence)) {
        if (id === END) break;
        if (id >= FIRST_CHARACTER) bytes.push(...encoder.encode(pieces[id] ?? ""));
        else if (id < HALF_BYTES) continue;
        else if (high === undefined) high = id - HALF_BYTES;
        else {
          bytes.push(high * 16 + id - HALF_BYTES);
          high = undefined;
        }
      }
      return new TextDecoder().decode(Uint8Array.from(bytes)).trim();
    },
  };
}

function halfBytes(text: string): number[] {
  return [...new TextEncoder().encode(text)].flatMap((byte) => [HALF_BYTES + (byte >> 4), HALF_BYTES + (byte & 15)]);
}

/** Checks JSON read from `place` (a file, for the message) and makes a tokenizer of it. */
export function parseTokenizer(json: unknown, place: string): Tokenizer {
  const { success, data, error } = tokenizerSchema.safeParse(json);
  if (!success) {
    const issue = error.issues[0];
    throw new Failure(
      `Cannot read the tokenizer ${place}: ${issue?.path.join(".") || "the file"}: ${issue?.message}; ` +
        "train the teacher again, or restore the file",
    );
  }
  return createTokenizer(data);
}
