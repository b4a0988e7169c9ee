/** How large the embedding of one text is: what a published denoiser reads of it, as one row of numbers. */
import * as z from "zod";

const count = z.int().positive();

/** Tokens [length, width], then a mask [length] of 1 for those that are not padding, then pooled features [pooled]. */
export const textShape = z.strictObject({
  length: count, // tokens of a text
  width: count, // numbers of each
  isMasked: z.boolean(), // whether padding is hidden
  pooled: z.int().nonnegative(), // 0 where none are read
});
export type TextShape = z.infer<typeof textShape>;

/** Numbers of a row. */
export const embeddingSize = ({ length, width, isMasked, pooled }: TextShape): number => length * width + (isMasked ? length : 0) + pooled;
