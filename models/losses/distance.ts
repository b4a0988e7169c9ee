/** The distance of feature maps that LPIPS and its relatives share. */
import { tf, type Tensor } from "../../engine/tfjs.ts";

/**
 * LPIPS difference of two lists of feature maps (Zhang et al. 2018, equation 1; docs/METHODS.md 1.2): each map, [b, h, w, c] or
 * tokens [b, n, c], is divided by its length over the channels; the squared differences are summed over channels,
 * averaged over positions and summed over maps. The weights w_l are 1, since there are no human judgements of latents
 * to calibrate them with. Answers [b], zero for equal maps.
 */
export function featureDifference(a: Tensor[], b: Tensor[]): Tensor {
  const terms = a.map((map, i) => {
    const channels = map.rank - 1;
    const squared = tf.sum(tf.square(tf.sub(unit(map), unit(b[i] as Tensor))), channels);
    return tf.mean(tf.reshape(squared, [map.shape[0] as number, -1]), 1);
  });
  return tf.addN(terms);
}

/** x / |x| over the last axis; a zero vector stays zero. */
function unit(x: Tensor): Tensor {
  return tf.mul(x, tf.rsqrt(tf.add(tf.sum(tf.square(x), x.rank - 1, true), 1e-8)));
}
