/**
 * The arithmetic of one update: gradients, AdamW, the EMA, and in half precision the scale of the loss, which is
 * halved when gradients overflow (that update is left out) and doubled after a long while without.
 */
import type { Tensors } from "../../engine/program.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Parameters } from "../layers.ts";
import { type AdamConfig, adamStep, lossAndGradients, RATE_INPUTS, updateAverage } from "./optimiser.ts";
import type { Loss } from "./step-options.ts";
import type { Trained } from "./trained.ts";

/** What an update takes besides gradients: see `rateInputs` and `averageDecay` of models/training/optimiser.ts. */
export const UPDATE_INPUTS = { ...RATE_INPUTS, decay: { shape: [] } };

/**
 * Loss, metrics and gradients of the network among the sets. In half precision the loss is scaled up, so that small
 * gradients do not vanish in float16, and the gradients down again (Micikevicius et al. 2018, section 3.2).
 */
export function gradientsOf(loss: Loss, sets: Record<string, Tensors>, inputs: Tensors): Gradients {
  const { network, average, first, second, scaler, ...read } = sets;
  const scale = scaler?.scale as Tensor | undefined;
  const { metrics, ...result } = lossAndGradients(network as Tensors, (parameters) => {
    const { loss: value, metrics, left = {} } = loss(parameters, inputs, read);
    return { loss: scale ? tf.mul(value, scale) : value, metrics: { ...metrics, ...prefixed(left) } };
  });
  const [left, rest] = [{}, {}] as [Parameters, Parameters];
  for (const [key, tensor] of Object.entries(metrics)) {
    if (key.startsWith(OF_LEFT)) left[key.slice(OF_LEFT.length)] = tensor;
    else rest[key] = tensor;
  }
  if (!scale) return { ...result, metrics: rest, left };
  const gradients = Object.entries(result.gradients).map(([key, gradient]) => [key, tf.div(gradient, scale)]);
  return { loss: tf.div(result.loss, scale), gradients: Object.fromEntries(gradients), metrics: rest, left };
}

interface Gradients extends ReturnType<typeof lossAndGradients> {
  /** Tensors that the loss leaves for other programs. */
  left: Parameters;
}

/** Left tensors pass through the gradient's tape as metrics do, under names that no metric has. */
const OF_LEFT = "left.";
const prefixed = (left: Parameters): Parameters => Object.fromEntries(Object.entries(left).map(([key, tensor]) => [OF_LEFT + key, tensor]));

type Held = Record<"network" | "first" | "second", Tensors> & { average?: Tensors };

/** One update of AdamW and, where one is kept, of the EMA. */
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
    ...(average && { average: updateAverage(average, parameters, inputs.decay as Tensor) }),
  };
  return scaler ? whereSound({ norm, updates, sets, scaler }) : { norm, updates };
}

/** Gradients beyond this came of an overflow in float16. Compared with a number: shaders may take infinity for absent. */
const OVERFLOWN = 1e30;
/** Updates without overflow after which the scale is doubled. */
const STREAK = 1000;

/** The updates, or none where the gradients have overflown: then the scale is halved. A skipped step's norm is 0. */
function whereSound(options: { norm: Tensor; updates: Held; sets: Held; scaler: Tensors }): ReturnType<typeof updatesOf> {
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
