/**
 * GAN games over the logits of every discriminator head: the non-saturating one of Diffusion2GAN and D2O (docs/METHODS.md 1.5
 * and 3.5), the hinge of ADD and SCott (9.9), and R1 (9.11).
 */
import { uniforms } from "../../schemas/numbers/philox.ts";
import { tf, type Tensor, type Scalar } from "../../engine/tfjs.ts";

/** Mean over heads, and within a head over samples and positions, of a function of the logits: a scalar. */
function meanOver(logits: readonly Tensor[], value: (logit: Tensor) => Tensor): Tensor {
  return tf.div(tf.addN(logits.map((logit) => tf.mean(value(logit)))), logits.length);
}

/** -log D and -log(1 - D), with D = sigmoid(logit). */
const missedReal = (logit: Tensor): Tensor => tf.softplus(tf.neg(logit));
const missedFake = (logit: Tensor): Tensor => tf.softplus(logit);

/** What the generator minimises: -log D of its samples. Starts at ln 2. */
export function generatorLoss(logits: readonly Tensor[]): Tensor {
  return meanOver(logits, missedReal);
}

/** What the discriminator minimises: -log D of real latents and -log(1 - D) of fakes. Starts at 2 ln 2. */
export function discriminatorLoss({ real, fake }: { real: readonly Tensor[]; fake: readonly Tensor[] }): Tensor {
  return tf.add(meanOver(real, missedReal), meanOver(fake, missedFake));
}

/** What the two sides of a game minimise, of the logits of every head, each [b, positions]: scalars. */
export interface Game {
  generatorLoss: (logits: readonly Tensor[]) => Tensor;
  discriminatorLoss: (logits: { real: readonly Tensor[]; fake: readonly Tensor[] }) => Tensor;
}

/**
 * The games by name. hinge (Lim & Ye 2017; Miyato et al. 2018): the discriminator minimises relu(1 - real) + relu(1 + fake),
 * which is 2 at the start, and the generator the negative mean logit of its samples.
 */
export const games: Readonly<Record<"softplus" | "hinge", Game>> = {
  softplus: { generatorLoss, discriminatorLoss },
  hinge: {
    generatorLoss: (logits) => tf.neg(meanOver(logits, (logit) => logit)),
    discriminatorLoss: ({ real, fake }) =>
      tf.add(
        meanOver(real, (logit) => tf.relu(tf.sub(1, logit))),
        meanOver(fake, (logit) => tf.relu(tf.add(1, logit))),
      ),
  },
};

export type GameName = keyof typeof games;

/** The names of {@link games}, for a method's settings. */
export const gameNames = Object.keys(games) as [GameName, ...GameName[]];

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
 * every parameter (the last biases, for one), so add {@link untouched} to it before taking `tf.grads`.
 */
export function r1Penalty({ discriminate, x }: { discriminate: (x: Tensor) => Tensor[]; x: Tensor }): Tensor {
  const total = (sample: Tensor): Tensor => tf.addN(discriminate(sample).map((logit) => tf.mean(logit)));
  return tf.sum(tf.square(tf.grad(total)(x)));
}

/**
 * R1 of a batch, mean over its rows of sum over `at` of ||d/d at of the sum over heads of the mean logit||^2: a scalar.
 * `at` are the latents x [b, h, w, c] alone, or the feature maps that heads read (R1 on features, as in ADD), and
 * `discriminate` maps them to logits [b, positions]; a row's logits must depend on that row alone. As to
 * {@link r1Penalty}, add {@link untouched} to it before taking `tf.grads`.
 */
export function gradientPenalty(options: { at: readonly Tensor[]; discriminate: (at: Tensor[]) => readonly Tensor[] }): Tensor {
  const { at, discriminate } = options;
  const total = (...values: Tensor[]): Tensor =>
    tf.addN(discriminate(values).map((logit) => tf.div(tf.sum(logit), logit.size / (logit.shape[0] as number))));
  const squares = tf
    .grads(total as (...args: Tensor[]) => Scalar)([...at])
    .map((gradient) => tf.sum(tf.square(gradient)));
  return tf.div(tf.addN(squares), at[0]?.shape[0] as number);
}

/** Nothing, of every parameter: added to a loss that some parameters have no part in, it lets `tf.grads` differentiate by all. */
export function untouched(parameters: Readonly<Record<string, Tensor>>): Tensor {
  return tf.mul(tf.addN(Object.values(parameters).map((p) => tf.sum(p))), 0);
}
