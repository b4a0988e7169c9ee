/** What a published denoiser reads of one text, as one row of numbers: tokens, then a mask of them, then pooled features. */

import type { TextShape } from "../../schemas/embedding.ts";

/** A part of the row: tokens [length, width], mask [length] or pooled [pooled]. */
export interface EmbeddingPart {
  name: "tokens" | "mask" | "pooled";
  /** Where it begins in the row. */
  from: number;
  shape: number[];
  size: number;
}

/** The parts of a row, in their order; those that the denoiser does not read are left out. */
export function embeddingParts({ length, width, isMasked, pooled }: TextShape): EmbeddingPart[] {
  const mask = isMasked ? length : 0;
  const parts: EmbeddingPart[] = [
    { name: "tokens", from: 0, shape: [length, width], size: length * width },
    { name: "mask", from: length * width, shape: [length], size: mask },
    { name: "pooled", from: length * width + mask, shape: [pooled], size: pooled },
  ];
  return parts.filter(({ size }) => size > 0);
}
