/**
 * Texts as a published network reads them: embedded by the pipeline's own encoders before they come to a program, whose inputs they
 * are. With each row comes the negative prompt's embedding, which takes the text's place where conditions are dropped.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { TextShape } from "../../schemas/embedding.ts";
import { type EmbeddingPart, embeddingParts } from "../text/embedding.ts";
import type { ConditionBag, Encoder, InputShapes } from "./encoder.ts";

/** What a program calls a part of the text's embedding, and of the negative prompt's. */
const SIDES = ["text", "negative"] as const;
const inputOf = (side: (typeof SIDES)[number], { name }: EmbeddingPart): string => `${side}.${name}`;

/** An encoder without parameters: `sequences[0]` is the text, `vector` its pooled features where the network reads them. */
export function publishedTextEncoder(shape: TextShape): Encoder {
  const parts = embeddingParts(shape);
  return {
    name: "text",
    reads: "caption",
    inputs: (batch): InputShapes =>
      Object.fromEntries(SIDES.flatMap((side) => parts.map((part) => [inputOf(side, part), { shape: [batch, ...part.shape] }] as const))),
    open:
      ({ embed }) =>
      async ({ caption, embedding = [] }) => {
        if (!embed) throw new Error("Cannot give a published network its texts: nobody was named who embeds them");
        const unknown = caption.filter((_, i) => !embedding[i]);
        const [negative, ...made] = await embed([null, ...unknown]);
        const texts = caption.map((_, i) => embedding[i] ?? (made.shift() as Float32Array));
        const rows = { text: texts, negative: texts.map(() => negative as Float32Array) };
        const bag: ConditionBag = {};
        for (const side of SIDES) for (const part of parts) bag[inputOf(side, part)] = stackedPart(rows[side], part);
        return bag;
      },
    encode: (_, inputs) => {
      const keep = inputs.keep as Tensor;
      const { tokens, mask, pooled } = Object.fromEntries(
        parts.map((part) => {
          const [text, negative] = SIDES.map((side) => inputs[inputOf(side, part)]) as [Tensor, Tensor];
          const kept = tf.reshape(keep, [-1, ...part.shape.map(() => 1)]);
          return [part.name, tf.add<Tensor>(tf.mul(text, kept), tf.mul(negative, tf.sub(1, kept)))];
        }),
      );
      return { sequences: [{ tokens: tokens as Tensor, ...(mask && { mask }) }], ...(pooled && { vector: pooled }) };
    },
  };
}

/** One part of several embeddings, one after the other. */
function stackedPart(rows: readonly Float32Array[], { from, size }: EmbeddingPart): Float32Array {
  const all = new Float32Array(rows.length * size);
  rows.forEach((row, i) => all.set(row.subarray(from, from + size), i * size));
  return all;
}
