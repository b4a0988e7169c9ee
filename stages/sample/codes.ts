/** The codes of images' own tokens, as a network under control is conditioned on them (models/families/controlled.ts). */
import type { ConditionBag, Conditions } from "../../models/conditions.ts";
import { tokenCount } from "../../models/tokens/image-tokenizer.ts";
import type { OpenTokenizer } from "./tokenizer.ts";

export interface Codes {
  /** Of latents [rows * h * w * c] in the model's scale; all other conditions count for nothing beside them. */
  ofLatents: (latents: Float32Array) => Promise<ConditionBag>;
  /** Of tokens [rows * n]. */
  ofTokens: (tokens: Int32Array) => Promise<ConditionBag>;
  /** Latents as the tokenizer's own decoder has them, for comparison. */
  decoded: (latents: Float32Array) => Promise<Float32Array>;
  close: () => Promise<void>;
}

/** Codes for a model of these conditions, by an image tokenizer, which `open` opens when first asked. */
export function openCodes(conditions: Conditions, open: () => Promise<OpenTokenizer>): Codes {
  let opened: Promise<OpenTokenizer> | undefined;
  const tokenizer = (): Promise<OpenTokenizer> => (opened ??= open());
  const ofTokens = async (tokens: Int32Array): Promise<ConditionBag> => {
    const { description, codesOf } = await tokenizer();
    const rows = tokens.length / tokenCount(description.config);
    const none = { label: new Int32Array(rows).fill(-1), caption: new Array<null>(rows).fill(null) };
    return { ...(await conditions.inputs(none)), codes: await codesOf(tokens), keep: new Float32Array(rows) };
  };
  const tokensOf = async (latents: Float32Array): Promise<Int32Array> => (await tokenizer()).tokensOf(latents);
  return {
    ofTokens,
    ofLatents: async (latents) => ofTokens(await tokensOf(latents)),
    decoded: async (latents) => (await tokenizer()).latentsOf(await tokensOf(latents)),
    close: async () => (await opened?.catch(() => undefined))?.close(),
  };
}
