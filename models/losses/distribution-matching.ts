/** Distribution matching (Yin et al. 2024, DMD2; docs/METHODS.md 9.10): samples follow the teacher's score less their own. */
import { stopGradient } from "../../engine/ops.ts";
import { type Tensor, tf } from "../../engine/tfjs.ts";

/**
 * Half the squared difference of samples x [b, h, w, c] and where they are to go, mean over all elements: its gradient by x is
 * (fake - real) / mean |x - real| of each row, with `real` and `fake` the clean predictions that the teacher and a denoiser of the
 * samples make of them under one noise. A row that the teacher leaves exactly as it is does not move.
 */
export function matchingLoss({ x, real, fake }: { x: Tensor; real: Tensor; fake: Tensor }): Tensor {
  const [rows, ...rest] = x.shape as [number, ...number[]];
  const size = tf.mean(tf.reshape(tf.abs(tf.sub(x, real)), [rows, -1]), 1);
  const scale = tf.reshape(tf.add(size, 1e-8), [rows, ...rest.map(() => 1)]);
  const wanted = stopGradient(tf.sub(x, tf.div(tf.sub(fake, real), scale)));
  return tf.mul(tf.mean(tf.squaredDifference(x, wanted)), 0.5);
}
