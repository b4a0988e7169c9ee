/** In half precision, the scale of the loss: what keeps small gradients from vanishing in float16 (Micikevicius et al. 2018). */
import type { Tensors } from "../../engine/program.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";

/** The sets of a network that an update renews. */
export type Held = Record<"network" | "first" | "second", Tensors> & { average?: Tensors; target?: Tensors };

/** Gradients beyond this came of an overflow in float16. Compared with a number: shaders may take infinity for absent. */
const OVERFLOWN = 1e30;
const FIRST_SCALE = 2 ** 15;
/** Updates without overflow after which the scale is doubled. */
const STREAK = 1000;

/** The scale that a training starts with. */
export const initialScale = (): Weights => ({
  scale: { shape: [], data: Float32Array.of(FIRST_SCALE) },
  streak: { shape: [], data: new Float32Array(1) },
});

/** The updates, or none where the gradients have overflown: then the scale is halved. A skipped step's norm is 0. */
export function whereSound(options: { norm: Tensor; updates: Held; sets: Held; scaler: Tensors }): {
  norm: Tensor;
  updates: Held & { scaler: Tensors };
} {
  const { norm, updates, sets } = options;
  const { scale, streak } = options.scaler as { scale: Tensor; streak: Tensor };
  const isSound = tf.less(norm, OVERFLOWN);
  const choose = (fresh: Tensor, old: Tensor): Tensor => tf.where(isSound, fresh, old);
  const chosen = Object.entries(updates).map(([set, tensors]) => {
    const old = sets[set as keyof Held] as Tensors;
    return [set, Object.fromEntries(Object.entries(tensors).map(([key, fresh]) => [key, choose(fresh, old[key] as Tensor)]))];
  });
  const isLong = tf.greaterEqual(streak, STREAK - 1);
  const grown = tf.where(isLong, tf.mul(scale, 2), scale);
  return {
    norm: choose(norm, tf.zerosLike(norm)),
    updates: {
      ...Object.fromEntries(chosen),
      scaler: {
        scale: choose(grown, tf.maximum(tf.div(scale, 2), 1)),
        streak: choose(tf.where(isLong, tf.zerosLike(streak), tf.add(streak, 1)), tf.zerosLike(streak)),
      },
    },
  };
}
