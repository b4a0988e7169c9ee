/** Plain differences of latents, scalars. */
import { tf, type Tensor } from "../../engine/tfjs.ts";

/** Mean squared difference over all elements. */
export const squaredError = (a: Tensor, b: Tensor): Tensor => tf.mean(tf.squaredDifference(a, b));

/** sqrt((a - b)^2 + c^2) - c, mean over all elements (Song & Dhariwal 2023, eq. 7, elementwise), c = 0.03. */
export function pseudoHuber(a: Tensor, b: Tensor): Tensor {
  const c = 0.03;
  return tf.mean(tf.sub(tf.sqrt(tf.add(tf.square(tf.sub(a, b)), c * c)), c));
}

/** Mean squared difference of each row, [b, ...] -> [b]. */
export const squaredErrors = (a: Tensor, b: Tensor): Tensor =>
  tf.mean(tf.reshape(tf.squaredDifference(a, b), [a.shape[0] as number, -1]), 1);

/** sqrt(|a - b|^2 + c^2) - c of each row as a whole (Song & Dhariwal 2023, eq. 7), [b, ...] -> [b]. */
export function pseudoHubers(a: Tensor, b: Tensor, c: number): Tensor {
  const squared = tf.sum(tf.reshape(tf.squaredDifference(a, b), [a.shape[0] as number, -1]), 1);
  return tf.sub(tf.sqrt(tf.add(squared, c * c)), c);
}
