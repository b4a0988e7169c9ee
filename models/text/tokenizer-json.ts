/**
 * tokenizer.json as transformers makes it of older files: of CLIP's vocab.json and merges.txt (byte-pair encoding, Sennrich et al. 2016),
 * and of T5's spiece.model (unigram, Kudo 2018).
 */
import type { UnigramVocabulary } from "./sentencepiece.ts";
import { type AddedToken, filledIn, type SpecialTokens } from "./special-tokens.ts";

/** Contents of a tokenizer.json; what parts mean is the library's business. */
export type TokenizerJson = Record<"added_tokens" | "decoder" | "model" | "normalizer" | "post_processor" | "pre_tokenizer", unknown>;

/** Words as CLIP splits a text: endings after an apostrophe, letters, single digits, and runs of all else. */
const CLIP_WORDS = "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";

/** Byte-pair encoding of words whose last piece ends with `</w>`. Throws an Error where the vocabulary lacks an end. */
export function clipJson(
  { vocabulary, merges }: { vocabulary: Record<string, number>; merges: readonly string[] },
  tokens: SpecialTokens,
): TokenizerJson {
  const { bos = "<|startoftext|>", eos = "<|endoftext|>", unk = "<|endoftext|>", pad = "<|endoftext|>" } = tokens;
  const added = withIds([bos, eos, unk, pad], tokens, (content) => vocabulary[content]);
  const idOf = (content: string): number => added.find((each) => each.content === content)?.id as number;
  return {
    added_tokens: added,
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "NFC" },
        { type: "Replace", pattern: { Regex: "\\s+" }, content: " " },
        { type: "Replace", pattern: { String: "Σ" }, content: "σ" }, // never the sigma that ends words, which JavaScript would make
        { type: "Lowercase" },
      ],
    },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: CLIP_WORDS }, behavior: "Removed", invert: true },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false }, // they are words already
      ],
    },
    post_processor: {
      type: "RobertaProcessing",
      sep: [eos, idOf(eos)],
      cls: [bos, idOf(bos)],
      trim_offsets: false,
      add_prefix_space: false,
    },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: unk,
      continuing_subword_prefix: "",
      end_of_word_suffix: "</w>",
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: vocabulary,
      merges,
    },
  };
}

/** The lines of a merges.txt after its first, which is the version. */
export const mergesOf = (text: string): string[] =>
  text
    .split(/\r?\n/)
    .slice(1)
    .filter((line) => line !== "");

/** T5's: pieces of words that begin with a mark, then `<extra_id_N>`, the largest N first. Throws an Error where there is no end. */
export function t5Json({ pieces, unknown, charsmap }: UnigramVocabulary, tokens: SpecialTokens): TokenizerJson {
  const { eos = "</s>", unk = "<unk>", pad = "<pad>", extra } = tokens;
  const extras = Array.from({ length: extra }, (_, i) => `<extra_id_${extra - 1 - i}>`);
  const vocab = [...pieces, ...extras.map((content): [string, number] => [content, 0])];
  const ids = new Map(vocab.map(([content], id) => [content, id]));
  const added = withIds([pad, eos, unk, ...extras], tokens, (content) => ids.get(content));
  const mark = { type: "Metaspace", replacement: "\u2581", prepend_scheme: "always", split: true };
  const end = { id: eos, ids: [added.find(({ content }) => content === eos)?.id], tokens: [eos] };
  return {
    added_tokens: added,
    normalizer: {
      type: "Sequence",
      normalizers: [
        ...(charsmap.length > 0 ? [{ type: "Precompiled", precompiled_charsmap: Buffer.from(charsmap).toString("base64") }] : []),
        { type: "Replace", pattern: { String: "\u0085" }, content: " " }, // white space, though not to JavaScript
      ],
    },
    pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "WhitespaceSplit" }, mark] },
    post_processor: {
      type: "TemplateProcessing",
      single: [{ Sequence: { id: "A", type_id: 0 } }, { SpecialToken: { id: eos, type_id: 0 } }],
      pair: [],
      special_tokens: { [eos]: end },
    },
    decoder: mark,
    model: { type: "Unigram", unk_id: unknown, vocab, byte_fallback: false },
  };
}

/** Added tokens with ids, `needed` among them. Throws an Error that names one which has none. */
function withIds(needed: readonly string[], { added }: SpecialTokens, idOf: (content: string) => number | undefined): AddedToken[] {
  const known = new Set(added.map(({ content }) => content));
  const missing = [...new Set(needed)].filter((content) => !known.has(content)).map((content) => filledIn({ content, special: true }));
  return [...added, ...missing].map((each) => {
    const id = each.id ?? idOf(each.content);
    if (id === undefined) throw new Error(`its vocabulary lacks "${each.content}"`);
    return { ...each, id };
  });
}
