/**
 * The arithmetic of one update: gradients, AdamW, the average, and in half precision the scale of the loss, which is
 * halved when gradients overflow (that update is left out) and doubled after a long while without.
 */
import type { Tensors } from "../../engine/program.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import type { Parameters } from "../layers.ts";
import { type AdamConfig, adamStep, lossAndGradients, RATE_INPUTS, updateAverage } from "./optimiser.ts";
import type { Loss, Trained } from "./training.ts";

/** What an update takes besides gradients: see `rateInputs` and `averageDecay` of models/training/optimiser.ts. */
export const UPDATE_INPUTS = { ...RATE_INPUTS, decay: { shape: [] } };

/**
 * Loss, metrics and gradients of the network among the sets. In half precision the loss is scaled up, so that small
 * gradients do not vanish in float16, and the gradients down again (Micikevicius et al. 2018, section 3.2).
 */
export function gradientsOf(loss: Loss, sets: Record<string, Tensors>, inputs: Tensors): ReturnType<typeof lossAndGradients> {
  const { network, average, first, second, scaler, ...read } = sets;
  if (!scaler) return lossAndGradients(network as Tensors, (parameters) => loss(parameters, inputs, read));
  const { scale } = scaler as { scale: Tensor };
  const result = lossAndGradients(network as Tensors, (parameters) => {
    const { loss: value, metrics } = loss(parameters, inputs, read);
    return { loss: tf.mul(value, scale), metrics };
  });
  const gradients = Object.entries(result.gradients).map(([key, gradient]) => [key, tf.div(gradient, scale)]);
  return { ...result, loss: tf.div(result.loss, scale), gradients: Object.fromEntries(gradients) };
}

type Held = Record<Exclude<keyof Trained, "scaler">, Tensors>;

/** One update of AdamW and of the average. */
export function updatesOf(
  { scaler, ...sets }: Held & { scaler?: Tensors },
  inputs: Tensors,
  gradients: Parameters,
  config: AdamConfig,
): { norm: Tensor; updates: Partial<Record<keyof Trained, Tensors>> } {
  const { network, average, first, second } = sets;
  const rates = inputs as Record<keyof typeof RATE_INPUTS, Tensor>;
  const next = adamStep({ state: { parameters: network, first, second }, gradients, rates, config });
  const { parameters, norm } = next;
  const updates: Held = {
    network: parameters,
    first: next.first,
    second: next.second,
    average: updateAverage(average, parameters, inputs.decay as Tensor),
  };
  return scaler ? whereSound({ norm, updates, sets, scaler }) : { norm, updates };
}

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
function whereSound(options: { norm: Tensor; updates: Held; sets: Held; scaler: Tensors }): ReturnType<typeof updatesOf> {
  const { norm, updates, sets } = options;
  const { scale, streak } = options.scaler as { scale: Tensor; streak: Tensor };
  const isSound = tf.less(norm, OVERFLOWN);
  const choose = (fresh: Tensor, old: Tensor): Tensor => tf.where(isSound, fresh, old);
  const chosen = Object.entries(updates).map(([set, tensors]) => {
    const old = sets[set as keyof Held];
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
