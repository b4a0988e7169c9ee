/** Captions as a vector, and where it is wanted as a sequence, by the text encoder of models/text/, trained together with the network. */
import type { Tensor } from "../../engine/tfjs.ts";
import { applyTextEncoder, initTextEncoder, type TextEncoderConfig } from "../text/text-encoder.ts";
import { createTokenizer } from "../text/tokenizer.ts";
import type { ConditionBag, Encoder } from "./encoder.ts";

/** The features of a caption, pooled and with `sequences` piece by piece; without a tokenizer no row has any inputs. */
export function captionEncoder(config: TextEncoderConfig, { sequences = false } = {}): Encoder {
  const { length } = config;
  return {
    name: "text",
    reads: "caption",
    parameters: /^text\./,
    init: (seed) => initTextEncoder(config, seed),
    inputs: (batch) => ({ tokens: { shape: [batch, length], dtype: "int32" } }),
    open: ({ tokenizer }) => {
      const words = tokenizer && createTokenizer(tokenizer);
      return ({ caption }): ConditionBag => {
        if (!words) return {};
        const tokens = new Int32Array(caption.length * length);
        caption.forEach((text, i) => tokens.set(words.encode(text ?? "", length), i * length));
        return { tokens };
      };
    },
    encode: (parameters, { tokens, keep }) => {
      const { pooled, ...sequence } = applyTextEncoder(config, parameters, { tokens: tokens as Tensor, keep: keep as Tensor });
      return { vector: pooled, ...(sequences && { sequences: [sequence] }) };
    },
  };
}
