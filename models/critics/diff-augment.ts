/**
 * DiffAugment (Zhao et al. 2020, arXiv 2006.10738; docs/METHODS.md 9.12): colour, translation and cutout, every one in every call. The
 * strengths are the reference's, for values that spread about as those of images in [-1, 1] do, as normalised latents do.
 */
import { uniforms } from "../../schemas/numbers/philox.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Augmenter, Shape } from "./augmenter.ts";

/** The kinds of transforms, in the order in which they are applied. */
export const diffAugmentPolicies = ["color", "translation", "cutout"] as const;
export type DiffAugmentPolicy = (typeof diffAugmentPolicies)[number];

/** Columns of the draws: uniform in [0, 1) as they are, but the last four whole pixels. */
const COLUMNS = ["brightness", "saturation", "contrast", "down", "right", "top", "left"] as const;

/** Largest shift and side of the cutout, as shares of the size. */
const [SHIFT, CUT] = [0.125, 0.5];
const rounded = (size: number, share: number): number => Math.floor(size * share + 0.5);

/** DiffAugment of latents of this shape. */
export function createDiffAugment({ shape, policy }: { shape: Shape; policy: readonly DiffAugmentPolicy[] }): Augmenter {
  const [height, width] = shape;
  return {
    columns: COLUMNS.length,
    draws: ({ seed, stream, step, rows }) => {
      const length = rows * COLUMNS.length;
      const u = uniforms({ seed, stream, offset: step * length, length });
      const below = (at: number, count: number): number => Math.min(count - 1, Math.floor((u[at] as number) * count));
      const shift = (at: number, size: number): number => below(at, 2 * rounded(size, SHIFT) + 1) - rounded(size, SHIFT);
      /** Where the square begins: it may reach beyond the edges by half. */
      const corner = (at: number, size: number): number => {
        const side = rounded(size, CUT);
        return below(at, size + 1 - (side % 2)) - Math.floor(side / 2);
      };
      const draws = Float32Array.from(u);
      for (let at = 0; at < length; at += COLUMNS.length) {
        draws[at + 3] = shift(at + 3, height);
        draws[at + 4] = shift(at + 4, width);
        draws[at + 5] = corner(at + 5, height);
        draws[at + 6] = corner(at + 6, width);
      }
      return draws;
    },
    apply: (x, draws) => {
      const [brightness, saturation, contrast, down, right, top, left] = tf.split(draws, COLUMNS.length, 1) as Columns;
      let y = x;
      if (policy.includes("color")) {
        y = tf.add(y, tf.sub(perRow(brightness), 0.5));
        y = about(y, [3], tf.mul(saturation, 2));
        y = about(y, [1, 2, 3], tf.add(contrast, 0.5));
      }
      if (policy.includes("translation")) y = swap(moved(swap(moved(y, down)), right));
      if (policy.includes("cutout")) {
        const [rows, columns] = [within(top, height), within(left, width)];
        y = tf.mul(y, tf.sub(1, tf.mul(tf.reshape(rows, [-1, height, 1, 1]), tf.reshape(columns, [-1, 1, width, 1]))));
      }
      return y;
    },
  };
}
type Columns = [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];

const perRow = (column: Tensor): Tensor => tf.reshape(column, [-1, 1, 1, 1]);

/** x with its distance from the mean over `axes` times a factor a row. */
function about(x: Tensor, axes: number[], factor: Tensor): Tensor {
  const centre = tf.mean(x, axes, true);
  return tf.add(tf.mul(tf.sub(x, centre), perRow(factor)), centre);
}

/** Rows and columns change places: [b, h, w, c] -> [b, w, h, c]. */
const swap = (x: Tensor): Tensor => tf.transpose(x, [0, 2, 1, 3]);

/** x [b, n, m, c] moved down by whole pixels [b, 1]; zeros come in. */
function moved(x: Tensor, by: Tensor): Tensor {
  const [b, n, m, c] = x.shape as [number, number, number, number];
  const places = range(n);
  const sources = tf.sub(tf.reshape(places, [1, n, 1]), tf.reshape(by, [-1, 1, 1])); // which row comes to each place
  const matrices = tf.cast(tf.less(tf.abs(tf.sub(sources, tf.reshape(places, [1, 1, n]))), 0.5), "float32");
  return tf.reshape(tf.matMul(matrices, tf.reshape(x, [b, n, m * c])), [b, n, m, c]);
}

/** 1 for the pixels of a line of n that the cutout covers, which begins at `from` [b, 1]: [b, n]. */
function within(from: Tensor, n: number): Tensor {
  const inside = tf.sub(tf.reshape(range(n), [1, n]), from);
  return tf.cast(tf.logicalAnd(tf.greater(inside, -0.5), tf.less(inside, rounded(n, CUT) - 0.5)), "float32");
}

const range = (n: number): Tensor => tf.tensor1d(Array.from({ length: n }, (_, i) => i));
