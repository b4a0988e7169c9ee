/**
 * A perceptual difference of images that needs no trained network: edges, which a mean absolute difference blurs, and
 * local structure (SSIM), both over a pyramid of scales.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { downsample } from "../layers.ts";

/** |x|, rounded off within 1e-3 of zero so that its gradient is smooth (Charbonnier). */
export function absolute(x: Tensor): Tensor {
  return tf.sqrt(tf.add(tf.square(x), 1e-6));
}

/**
 * Structure difference of images a and b [batch, height, width, 3] in [-1, 1], a scalar: mean absolute difference of
 * the neighbour differences at scales 1, 1/2 and 1/4, plus 1 - SSIM over 8 px squares at scales 1 and 1/2. Scales whose
 * sides do not divide are left out.
 */
export function structureLoss(a: Tensor, b: Tensor): Tensor {
  const terms: Tensor[] = [];
  let [x, y] = [a, b];
  for (let level = 0; level < 3; level++) {
    const [, height, width] = x.shape as [number, number, number];
    terms.push(edgeDifference(tf.sub(x, y)));
    if (level < 2 && height % 8 === 0 && width % 8 === 0) terms.push(tf.sub(1, similarity(x, y, 8)));
    if (height % 2 !== 0 || width % 2 !== 0) break;
    [x, y] = [downsample(x), downsample(y)];
  }
  return tf.addN(terms);
}

/** Mean absolute difference of horizontal and vertical neighbours of d [b, h, w, c]. */
function edgeDifference(d: Tensor): Tensor {
  const [b, h, w, c] = d.shape as [number, number, number, number];
  const columns = tf.sub(tf.slice(d, [0, 0, 1, 0], [b, h, w - 1, c]), tf.slice(d, [0, 0, 0, 0], [b, h, w - 1, c]));
  const rows = tf.sub(tf.slice(d, [0, 1, 0, 0], [b, h - 1, w, c]), tf.slice(d, [0, 0, 0, 0], [b, h - 1, w, c]));
  return tf.add(tf.mean(absolute(columns)), tf.mean(absolute(rows)));
}

/**
 * Mean SSIM (Wang et al. 2004, equation 13) of x and y [b, h, w, c] in [-1, 1], over squares of `side` pixels that do
 * not overlap.
 */
export function similarity(x: Tensor, y: Tensor, side: number): Tensor {
  const [c1, c2] = [0.02 ** 2, 0.06 ** 2]; // (K L)^2 with K = 0.01, 0.03 and the range L = 2
  const local = (t: Tensor): Tensor => downsample(t, side);
  const [mx, my] = [local(x), local(y)];
  const mxy = tf.mul(mx, my);
  const [mxx, myy] = [tf.square(mx), tf.square(my)];
  const covariance = tf.sub(local(tf.mul(x, y)), mxy);
  const variances = tf.sub(tf.add(local(tf.square(x)), local(tf.square(y))), tf.add(mxx, myy));
  const numerator = tf.mul(tf.add(tf.mul(mxy, 2), c1), tf.add(tf.mul(covariance, 2), c2));
  const denominator = tf.mul(tf.add(tf.add(mxx, myy), c1), tf.add(variances, c2));
  return tf.mean(tf.div(numerator, denominator));
}
