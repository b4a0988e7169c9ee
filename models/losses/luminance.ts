/** Images as shades of grey. */
import { type Tensor, tf } from "../../engine/tfjs.ts";

/** RGB images [b, h, w, 3] to [b, h, w, 1] by the weights of Rec. 601, as band energies are measured (models/metrics/bands.ts). */
export function luminance(images: Tensor): Tensor {
  const [b, h, w] = images.shape as [number, number, number];
  const grey = tf.matMul(tf.reshape(images, [b * h * w, 3]), tf.tensor2d([0.299, 0.587, 0.114], [3, 1]));
  return tf.reshape(grey, [b, h, w, 1]);
}
