/**
 * The arithmetic of one update: gradients, AdamW, the EMA, and in half precision the scale of the loss, which is
 * halved when gradients overflow (that update is left out) and doubled after a long while without.
 */
import type { Tensors } from "../../engine/program.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Parameters } from "../layers.ts";
import { type AdamConfig, adamStep, lossAndGradients, RATE_INPUTS, updateAverage } from "./optimiser.ts";
import type { Loss } from "./plan.ts";
import { type Held, whereSound } from "./scale.ts";
import type { Trained } from "./trained.ts";

/** What an update takes besides gradients: see `rateInputs` and `averageDecay` of models/training/optimiser.ts. */
export const UPDATE_INPUTS = { ...RATE_INPUTS, decay: { shape: [] } };

/**
 * Loss, metrics and gradients of the network among the sets. In half precision the loss is scaled up, so that small
 * gradients do not vanish in float16, and the gradients down again (Micikevicius et al. 2018, section 3.2).
 */
export function gradientsOf(loss: Loss, sets: Record<string, Tensors>, inputs: Tensors): Gradients {
  const { network, average, target, first, second, scaler, health, ...read } = sets;
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

/** One update of AdamW and, where one is kept, of the EMA. */
export function updatesOf(
  { scaler, ...sets }: Held & { scaler?: Tensors },
  inputs: Tensors,
  gradients: Parameters,
  config: AdamConfig,
  targetDecay = 0,
): { norm: Tensor; updates: Partial<Record<keyof Trained, Tensors>> } {
  const { network, average, target, first, second } = sets;
  const rates = inputs as Record<keyof typeof RATE_INPUTS, Tensor>;
  const next = adamStep({ state: { parameters: network, first, second }, gradients, rates, config });
  const { parameters, norm } = next;
  const updates: Held = {
    network: parameters,
    first: next.first,
    second: next.second,
    ...(average && { average: updateAverage(average, parameters, inputs.decay as Tensor) }),
    ...(target && { target: updateAverage(target, parameters, tf.scalar(targetDecay)) }),
  };
  return scaler ? whereSound({ norm, updates, sets, scaler }) : { norm, updates };
}
