/** The non-saturating GAN game of Diffusion2GAN (docs/METHODS.md 1.4 and 1.5) over the logits of every discriminator head. */
import { uniforms } from "../../schemas/numbers/philox.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";

/** Mean over heads, and within a head over samples and positions, of softplus(sign * logit): a scalar. */
function meanSoftplus(logits: readonly Tensor[], sign: 1 | -1): Tensor {
  const heads = logits.map((logit) => tf.mean(tf.softplus(sign === 1 ? logit : tf.neg(logit))));
  return tf.div(tf.addN(heads), heads.length);
}

/** What the generator minimises: -log D of its samples, with D = sigmoid(logit). Starts at ln 2. */
export function generatorLoss(logits: readonly Tensor[]): Tensor {
  return meanSoftplus(logits, -1);
}

/** What the discriminator minimises: -log D of real latents and -log(1 - D) of fakes. Starts at 2 ln 2. */
export function discriminatorLoss({ real, fake }: { real: readonly Tensor[]; fake: readonly Tensor[] }): Tensor {
  return tf.add(meanSoftplus(real, -1), meanSoftplus(fake, 1));
}

/**
 * Mix and match: fakes [b, h, w, c] that are generated latents, except where `mask` [b] is 1, which take another row's
 * real latent while noise and condition stay. They look real and belong to other conditions, so that only a
 * discriminator that reads its conditions can tell. A batch of one has no other row and stays as generated.
 */
export function mixAndMatch({ generated, real, mask }: { generated: Tensor; real: Tensor; mask: Tensor }): Tensor {
  const batch = real.shape[0] as number;
  if (batch === 1) return generated;
  const rest = real.shape.slice(1);
  const others = tf.concat([tf.slice(real, [1], [batch - 1]), tf.slice(real, [0], [1])]);
  const chosen = tf.reshape(mask, [batch, ...rest.map(() => 1)]);
  return tf.add(tf.mul(generated, tf.sub(1, chosen)), tf.mul(others, chosen));
}

/** Which rows of step `step` are mismatched, 0 or 1 [batch]: each with probability `share`, a pure function of (seed, step). */
export function mismatchMask({ seed, step, batch, share }: { seed: number; step: number; batch: number; share: number }): Float32Array {
  return Float32Array.from(uniforms({ seed, stream: "mismatch", offset: step * batch, length: batch }), (u) => (u < share ? 1 : 0));
}

/**
 * R1 (Mescheder et al. 2018) of a single sample: ||d/dx sum over heads of the mean logit||^2, a scalar. `discriminate`
 * maps x [1, h, w, c] to logits with the sample's own noise and condition; one sample suffices and spares the memory
 * of a whole batch's second derivatives. Differentiating the result needs engine/gradients.ts; it does not depend on
 * every parameter (the last biases, for one), so add it to the discriminator's loss before taking `tf.grads`.
 */
export function r1Penalty({ discriminate, x }: { discriminate: (x: Tensor) => Tensor[]; x: Tensor }): Tensor {
  const total = (sample: Tensor): Tensor => tf.addN(discriminate(sample).map((logit) => tf.mean(logit)));
  return tf.sum(tf.square(tf.grad(total)(x)));
}
