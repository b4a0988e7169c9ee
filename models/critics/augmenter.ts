/** Random transforms of what a discriminator sees, real and generated alike, through which the generator's gradient flows. */
import type { Tensor } from "../../engine/tfjs.ts";

export interface Augmenter {
  /** Numbers drawn for a row. */
  columns: number;
  /** Draws [rows * columns] of a step: a pure function of (seed, stream, step). */
  draws: (at: { seed: number; stream: string; step: number; rows: number }) => Float32Array;
  /** Latents x [b, h, w, c] under draws [b, columns]; of those that have one, each transform fires with `probability`, a scalar. */
  apply: (x: Tensor, draws: Tensor, probability?: Tensor) => Tensor;
}

/** Height, width and channels of what is transformed. */
export type Shape = readonly [height: number, width: number, channels: number];
