/** Vector quantisation with codes of unit length (Yu et al., ViT-VQGAN, 2022, section 3.2): nearest is most alike in direction. */
import { stopGradient } from "../../engine/ops.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { type Parameters, parameter } from "../layers.ts";

/** x / |x| over the last axis. */
export function unit(x: Tensor): Tensor {
  return tf.mul(x, tf.rsqrt(tf.add(tf.sum(tf.square(x), x.rank - 1, true), 1e-12)));
}

/** The codes [K, dimension] as unit vectors. */
export const codebookOf = (parameters: Parameters): Tensor => unit(parameter(parameters, "codes"));

/**
 * Which of the unit codes [K, d] is nearest to each of the unit vectors [..., d], as one-hot rows [n, K]. Since
 * |v - e|^2 = 2 - 2 v e for unit vectors, it is the one of the greatest product. A choice has no gradient.
 */
export function nearest(vectors: Tensor, codes: Tensor): Tensor {
  const [count, dimension] = codes.shape as [number, number];
  const choose = tf.customGrad((...given) => {
    const [v, e] = given as unknown as [Tensor, Tensor];
    const token = tf.argMax(tf.matMul(v as never, e as never, false, true), 1);
    const value = tf.cast(tf.oneHot(token as never, count), "float32") as Tensor; // means of whole numbers are whole on some devices
    return { value, gradFunc: () => [tf.zerosLike(v), tf.zerosLike(e)] };
  });
  return choose(tf.reshape(vectors, [-1, dimension]), codes);
}

/** The codes that one-hot rows [n, K] choose, as a map of this shape [b, h, w, d]. */
export function chosenCodes(choice: Tensor, codes: Tensor, shape: readonly number[]): Tensor {
  return tf.reshape(tf.matMul(choice as never, codes as never) as Tensor, [...shape]);
}

export interface Quantised {
  /** The codes of the tokens, in the vectors' shape; their gradient goes to the vectors as it is (straight through). */
  codes: Tensor;
  /** mean (sg[e] - v)^2: draws the vectors towards their codes. */
  commitment: Tensor;
  /** mean (e - sg[v])^2: draws the codes towards the vectors they stand for. */
  codebook: Tensor;
  /** Share of codes chosen at all, of those that so many vectors could choose. */
  used: Tensor;
  /** exp(-sum p ln p) of how often each was chosen: K where all are equally often. */
  perplexity: Tensor;
}

/**
 * Unit vectors v [b, h, w, d] as the nearest codes e, with the two terms of van den Oord et al. 2017, equation 3. What goes on
 * is v + sg[e - v].
 */
export function quantised(vectors: Tensor, codes: Tensor): Quantised {
  const choice = nearest(vectors, codes);
  const chosen = chosenCodes(choice, codes, vectors.shape);
  return {
    codes: tf.add(vectors, stopGradient(tf.sub(chosen, vectors))),
    commitment: tf.mean(tf.squaredDifference(stopGradient(chosen), vectors)),
    codebook: tf.mean(tf.squaredDifference(chosen, stopGradient(vectors))),
    ...codebookUse(choice),
  };
}

function codebookUse(choice: Tensor): Pick<Quantised, "used" | "perplexity"> {
  const shares = tf.mean(choice, 0);
  const most = Math.min(...(choice.shape as [number, number]));
  const used = tf.mul(tf.sum(tf.cast(tf.greater(shares, 0), "float32")), 1 / most);
  return { used, perplexity: tf.exp(tf.neg(tf.sum(tf.mul(shares, tf.log(tf.add(shares, 1e-12)))))) };
}

/**
 * How undecided single vectors are, less how undecided all are together (Yu et al., Language model beats diffusion, 2024,
 * equation 5), plus ln K, by softmax of -|v - e|^2 / temperature: 0 where each vector is at one code and all codes are used alike.
 */
export function entropyDifference(vectors: Tensor, codes: Tensor, temperature = 0.01): Tensor {
  const flat = tf.reshape(vectors, [-1, codes.shape[1] as number]);
  const logits = tf.mul(tf.matMul(flat as never, codes as never, false, true) as Tensor, 2 / temperature);
  const likely = tf.softmax(logits);
  const entropy = (p: Tensor): Tensor => tf.neg(tf.sum(tf.mul(p, tf.log(tf.add(p, 1e-9))), -1));
  const most = Math.log(codes.shape[0] as number);
  return tf.add(tf.sub(tf.mean(entropy(likely)), entropy(tf.mean(likely, 0))), most);
}
