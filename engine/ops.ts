/** Operations with a cheaper gradient than TensorFlow.js derives for their parts, exact to any order. */
import { tf, type Tensor } from "./tfjs.ts";

/**
 * x * sigmoid(slope * x): SiLU with slope 1 (also called swish), GELU's sigmoid form with slope 1.702 (Hendrycks &
 * Gimpel 2016). With s the sigmoid, the derivative is s (1 + slope x (1 - s)): two passes fewer than the product rule.
 */
export const swish = (x: Tensor, slope = 1): Tensor => tf.customGrad((...given) => {
  const [input, save] = given as unknown as [Tensor, tf.GradSaveFunc];
  save([input]);
  return {
    value: tf.mul(input, tf.sigmoid(tf.mul(input, slope))),
    gradFunc: (dy, saved) => {
      const h = tf.mul((saved as Tensor[])[0] as Tensor, slope);
      const s = tf.sigmoid(h);
      return tf.mul(dy, tf.mul(s, tf.add(tf.mul(h, tf.sub(1, s)), 1)));
    },
  };
})(x);
