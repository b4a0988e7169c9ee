/** Classifier-free guidance (Ho & Salimans 2022): the conditional prediction, pushed away from the unconditional one. */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { type Linear, tensors } from "./arithmetic.ts";
import type { Network } from "./denoise.ts";

/** D_w = D_u + w (D_c - D_u); w = 1 is the conditional prediction, w = 0 the unconditional one. */
export function guide<T>(
  { conditional, unconditional, scale }: { conditional: T; unconditional: T; scale: T | number },
  { add, mul }: Linear<T>,
): T {
  return add(unconditional, mul(add(conditional, mul(unconditional, -1)), scale));
}

/**
 * Both predictions of a batch from one network call of twice its size: F_u + scale (F_c - F_u), [b, h, w, c].
 * `network` sees the batch doubled, conditional half first, with `keep` [2b] (1 keeps the condition, 0 drops it), so it
 * must hold its conditions {@link doubled}. As D is affine in F with the same coefficients for both halves, guiding F
 * guides D.
 */
export function guidedNetwork({
  network,
  scale,
  rescale = 0,
}: {
  network: (inputs: { x: Tensor; noiseLevel: Tensor; keep: Tensor }) => Tensor;
  scale: number | Tensor;
  /** The share in which {@link rescaled}. */
  rescale?: number;
}): Network {
  return ({ x, noiseLevel }) => {
    const ones = tf.onesLike(noiseLevel);
    const keep = tf.concat([ones, tf.zerosLike(ones)]);
    const both = network({ x: doubled(x), noiseLevel: doubled(noiseLevel), keep });
    const [conditional, unconditional] = tf.split(both, 2) as [Tensor, Tensor];
    const guided = guide({ conditional, unconditional, scale }, tensors);
    return rescale > 0 ? rescaled({ guided, conditional, share: rescale }) : guided;
  };
}

/**
 * Guided predictions with, in a `share`, the standard deviation that each sample's conditional prediction has (Lin et al. 2024, eq. 15 and
 * 16), all [b, h, w, c].
 */
function rescaled({ guided, conditional, share }: { guided: Tensor; conditional: Tensor; share: number }): Tensor {
  const variance = (x: Tensor): Tensor => tf.mean(tf.square(tf.sub(x, tf.mean(x, [1, 2, 3], true))), [1, 2, 3], true);
  const factor = tf.sqrt(tf.div(variance(conditional), variance(guided)));
  return tf.mul(guided, tf.add(tf.mul(factor, share), 1 - share));
}

/** A batch followed by itself: [b, ...] -> [2b, ...]. */
export function doubled(batch: Tensor): Tensor {
  return tf.concat([batch, batch]);
}
