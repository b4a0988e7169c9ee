/** Conditions as a program wants them: class labels, or captions as word pieces. */
import { integers } from "../schemas/numbers/philox.ts";
import type { DenoiserSpec } from "./denoiser.ts";
import { createTokenizer, type TokenizerData } from "./text/tokenizer.ts";

/** Of a batch: label [batch] with -1 for none, and captions with null for none. */
export interface Conditioned {
  label: Int32Array;
  caption: (string | null)[];
}

/**
 * Conditions of some rows as a program takes them: for each of its condition inputs the rows' values, one after the other.
 * A bag that only the network's family and its encoders open; whoever carries it sees names and arrays.
 */
export type ConditionBag = Record<string, Float32Array | Int32Array>;

export interface Conditions {
  /** The condition inputs of a program over this batch. */
  inputs: (batch: Conditioned) => ConditionBag;
  /** `rows` conditions to look at: the classes in turn, or captions drawn from a list by `seed`. */
  spread: (rows: number, captions: readonly string[], seed: number) => Conditioned;
}

/** How a denoiser of this specification takes its conditions. */
export function createConditions(options: { spec: DenoiserSpec; tokenizer?: TokenizerData }): Conditions {
  const { spec, tokenizer } = options;
  const { condition, captionTokens } = spec.network;
  const words = tokenizer ? createTokenizer(tokenizer) : undefined;
  return {
    inputs: ({ label, caption }): ConditionBag => {
      if (condition === "class") return { label };
      if (condition === "none" || !words) return {};
      const tokens = new Int32Array(caption.length * captionTokens);
      caption.forEach((text, i) => tokens.set(words.encode(text ?? "", captionTokens), i * captionTokens));
      return { tokens };
    },
    spread: (rows, captions, seed) => ({
      label: Int32Array.from({ length: rows }, (_, i) => (spec.classes.length > 0 ? i % spec.classes.length : -1)),
      caption:
        captions.length === 0
          ? new Array<null>(rows).fill(null)
          : Array.from(integers({ seed, stream: "conditions", length: rows, below: captions.length }), (i) => captions[i] as string),
    }),
  };
}
