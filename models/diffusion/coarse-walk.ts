/**
 * States along a teacher's path without any data: from pure noise by a few coarse steps to wherever a row is to be (TLCM's multistep
 * denoising, docs/METHODS.md 6.2). Lower rows of the time take more steps; the rows of a batch are in rising order of their time, so
 * that each call of the teacher is of no more rows than are on their way.
 */
import { type Tensor, tf } from "../../engine/tfjs.ts";

/** Most steps that row `row` of `rows` can need of a walk of `steps`, when its time is within its stratum of the whole. */
const mostSteps = (row: number, rows: number, steps: number): number => steps - Math.floor((row * steps) / rows);

/**
 * Noise levels of the walk of each row, [n, steps + 1]: to share t of the time in ceil((1 - t) steps) even steps, at least one, which
 * are the last ones; the levels before them stay at the top. A program takes `rows` of them at a time, and share `i` of those lies in
 * [i / rows, (i + 1) / rows).
 */
export function walkLevels(options: {
  shares: ArrayLike<number>;
  rows: number;
  steps: number;
  levelAt: (share: number) => number;
}): Float32Array {
  const { shares, rows, steps, levelAt } = options;
  const width = steps + 1;
  const levels = new Float32Array(shares.length * width).fill(levelAt(1));
  for (let row = 0; row < shares.length; row++) {
    const share = shares[row] as number;
    const taken = Math.min(mostSteps(row % rows, rows, steps), Math.max(1, Math.ceil((1 - share) * steps)));
    for (let i = 0; i <= taken; i++) levels[row * width + steps - i] = levelAt(share + (i / taken) * (1 - share));
  }
  return levels;
}

/**
 * Walks states at the highest level [b, h, w, c] down `walk` [b, steps + 1], inside a traced function. `step` takes the first rows of
 * the batch from levels to levels, each [rows].
 */
export function walked(options: {
  start: Tensor;
  walk: Tensor;
  step: (options: { x: Tensor; from: Tensor; to: Tensor; rows: number }) => Tensor;
}): Tensor {
  const { start, walk, step } = options;
  const [batch, width] = walk.shape as [number, number];
  const rest = start.shape.slice(1);
  const column = (i: number, rows: number): Tensor => tf.reshape(tf.slice(walk, [0, i], [rows, 1]), [rows]);
  const part = (from: number, until: number): Tensor => tf.slice(start, [from, ...rest.map(() => 0)], [until - from, ...rest]);
  let x: Tensor | undefined;
  for (let i = 0; i + 1 < width; i++) {
    const left = width - 1 - i; // steps yet to come: rows that need as many are on their way
    let rows = 0;
    while (rows < batch && mostSteps(rows, batch, width - 1) >= left) rows++;
    const joined = x?.shape[0] ?? 0;
    if (rows > joined) x = x ? tf.concat([x, part(joined, rows)]) : part(0, rows);
    if (x) x = step({ x, from: column(i, rows), to: column(i + 1, rows), rows });
  }
  return x as Tensor;
}
