/** DISTS (Ding et al. 2020): how far two images lie apart in structure and texture, by the statistics of feature maps. */
import { type Tensor, tf } from "../../engine/tfjs.ts";

const C = 1e-6; // the paper's c1 = c2: what keeps a map that is zero in both images from dividing by zero

/**
 * Distance [b] of two lists of feature maps [b, h, w, c], 0 where all are equal and at most 2: 1 - sum of weighted terms, over
 * every channel of every map,
 *
 *     texture    l = (2 mu_x mu_y + c) / (mu_x^2 + mu_y^2 + c)              of its means over places (equation 5)
 *     structure  s = (2 sigma_xy + c) / (sigma_x^2 + sigma_y^2 + c)         of its covariance (equation 6)
 *
 * The paper fits the weights to people's judgements; here `texture` is the share of the first kind, and within a kind all maps,
 * and all channels of a map, weigh the same. The image itself is the first map of the paper's, without which images that
 * differ could be at distance 0: `maps` should hold it.
 */
export function dists(a: readonly Tensor[], b: readonly Tensor[], { texture = 0.5 }: { texture?: number } = {}): Tensor {
  const similarities = a.map((x, i) => {
    const y = b[i] as Tensor;
    const [mx, my] = [mean(x), mean(y)];
    const [dx, dy] = [tf.sub(x, mx), tf.sub(y, my)];
    const covariance = mean(tf.mul(dx, dy));
    const variances = tf.add(mean(tf.square(dx)), mean(tf.square(dy)));
    const l = ratio(tf.mul(mx, my), tf.add(tf.square(mx), tf.square(my)));
    return tf.mean(tf.add(tf.mul(l, texture), tf.mul(ratio(covariance, variances), 1 - texture)), [1, 2, 3]);
  });
  return tf.sub(1, tf.mul(tf.addN(similarities), 1 / similarities.length));
}

/** Mean over places, [b, 1, 1, c]. */
const mean = (x: Tensor): Tensor => tf.mean(x, [1, 2], true);

/** (2 joint + c) / (apart + c). */
const ratio = (joint: Tensor, apart: Tensor): Tensor => tf.div(tf.add(tf.mul(joint, 2), C), tf.add(apart, C));
