/** The codes of images' own tokens, as a network under control is conditioned on them (models/families/controlled.ts). */
import type { ConditionBag } from "../../models/conditions.ts";
import type { Context } from "../../schemas/events.ts";
import type { EngineSettings } from "../../schemas/settings.ts";
import { type OpenTokenizer, openTokenizer } from "./tokenizer.ts";

export interface Codes {
  /** Of latents [rows * h * w * c] in the model's scale; all other conditions count for nothing beside them. */
  ofLatents: (latents: Float32Array) => Promise<ConditionBag>;
  /** Of tokens [rows * n]. */
  ofTokens: (tokens: Int32Array) => Promise<ConditionBag>;
  /** Latents as the tokenizer's own decoder has them, for comparison. */
  decoded: (latents: Float32Array) => Promise<Float32Array>;
  close: () => Promise<void>;
}

/** Codes by the image tokenizer in `path`, whose worker starts when first asked. */
export function openCodes(options: { path: string; engine: EngineSettings; context: Context }): Codes {
  let opened: Promise<OpenTokenizer> | undefined;
  const tokenizer = (): Promise<OpenTokenizer> => (opened ??= openTokenizer(options));
  const ofTokens = async (tokens: Int32Array): Promise<ConditionBag> => {
    const { description, codesOf } = await tokenizer();
    const codes = await codesOf(tokens);
    const { shape, downsample } = description.config;
    const perRow = (shape[0] / downsample) * (shape[1] / downsample);
    return { codes, keep: new Float32Array(tokens.length / perRow) };
  };
  const tokensOf = async (latents: Float32Array): Promise<Int32Array> => (await tokenizer()).tokensOf(latents);
  return {
    ofTokens,
    ofLatents: async (latents) => ofTokens(await tokensOf(latents)),
    decoded: async (latents) => (await tokenizer()).latentsOf(await tokensOf(latents)),
    close: async () => (await opened?.catch(() => undefined))?.close(),
  };
}
