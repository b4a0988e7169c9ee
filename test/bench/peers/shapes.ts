/** The shape of a DiT: `tokens` of 16 numbers, each of `width` inside. */
export interface DitShape {
  batch: number;
  tokens: number;
  width: number;
  depth: number;
  heads: number;
}

/** What gpu.ts measures: a DiT of published size. */
export const GPU_DIT: DitShape = { batch: 64, tokens: 256, width: 768, depth: 12, heads: 12 };
/** One that a processor pretending to be a GPU runs in no time. */
export const TINY_DIT: DitShape = { batch: 2, tokens: 4, width: 8, depth: 1, heads: 2 };
