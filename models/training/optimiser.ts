/** AdamW (Loshchilov & Hutter 2019) with global gradient clipping and an exponential moving average, as one traced update. */
import { tf, type Tensor, type Scalar } from "../../engine/tfjs.ts";
import type { Parameters } from "../layers.ts";

export interface AdamConfig {
  beta1: number;
  beta2: number;
  epsilon?: number;
  /** Decoupled decay of matrices and kernels; vectors (biases, scales) are left alone. */
  weightDecay: number;
  /** Largest global gradient norm; a larger gradient is scaled down to it. */
  clip: number;
}

/** The scalars of one step that change with time, computed outside the graph in float64. */
export const RATE_INPUTS = { rate: { shape: [] }, correction1: { shape: [] }, correction2: { shape: [] } } as const;

/**
 * Learning rate of step 0, 1, ... and the bias corrections 1 - beta^t. `updates` counts the Adam updates before this
 * one, where they are not one a step.
 */
export function rateInputs(
  step: number,
  config: { learningRate: number; warmup: number; decay: number; steps: number; beta1: number; beta2: number },
  updates = step,
): Record<keyof typeof RATE_INPUTS, Float32Array> {
  const { learningRate, warmup, decay, steps, beta1, beta2 } = config;
  const rising = Math.min(1, (step + 1) / Math.max(1, warmup));
  const falling = decay > 0 ? Math.min(1, (steps - step) / (decay * steps)) : 1;
  return {
    rate: Float32Array.of(learningRate * rising * falling),
    correction1: Float32Array.of(1 - beta1 ** (updates + 1)),
    correction2: Float32Array.of(1 - beta2 ** (updates + 1)),
  };
}

export interface AdamState {
  parameters: Parameters;
  /** Running means of the gradient and of its square. */
  first: Parameters;
  second: Parameters;
}

/** A gradient, its parameter, and the running means of the gradient and of its square. */
type Four = [Tensor, Tensor, Tensor, Tensor];

/** One AdamW step. Returns the new state and the gradient's norm before clipping. */
export function adamStep(options: {
  state: AdamState;
  gradients: Parameters;
  rates: Record<keyof typeof RATE_INPUTS, Tensor>;
  config: AdamConfig;
}): AdamState & { norm: Tensor } {
  const { state, gradients, rates, config } = options;
  const { beta1, beta2, epsilon = 1e-8, weightDecay, clip } = config;
  const norm = globalNorm(gradients);
  const scale = tf.minimum(1, tf.div(clip, tf.add(norm, 1e-12))) as Tensor;
  const sets = [gradients, state.parameters, state.first, state.second];
  const [parameters = {}, first = {}, second = {}] = eachTensor(sets, ([gradient, value, oldMean, oldSquare]: Four) => {
    const clipped = tf.mul(gradient, scale);
    const mean = tf.add(tf.mul(oldMean, beta1), tf.mul(clipped, 1 - beta1));
    const square = tf.add(tf.mul(oldSquare, beta2), tf.mul(tf.square(clipped), 1 - beta2));
    const direction = tf.div(tf.div(mean, rates.correction1), tf.add(tf.sqrt(tf.div(square, rates.correction2)), epsilon));
    const decayed = value.rank >= 2 && weightDecay > 0 ? tf.add(direction, tf.mul(value, weightDecay)) : direction;
    return [tf.sub(value, tf.mul(decayed, rates.rate)), mean, square];
  });
  return { parameters, first, second, norm };
}

/**
 * `update`, which works element by element, of the tensors that have the same name in each of `sets`: a set for each of its results.
 * Vectors, most of a network's tensors, go through it as one: the same numbers by far fewer nodes (engine/NOTES.md).
 */
function eachTensor<T extends Tensor[]>(sets: readonly Parameters[], update: (tensors: T) => Tensor[]): Parameters[] {
  const named = (name: string): Tensor[] => sets.map((set) => set[name] as Tensor);
  const names = Object.keys(sets[0] ?? {});
  const made = new Map<string, Tensor[]>();
  const vectors = names.filter((name) => named(name)[0]?.rank === 1);
  if (vectors.length > 1) {
    const lengths = vectors.map((name) => named(name)[0]?.size as number);
    const joined = sets.map((set) => tf.concat(vectors.map((name) => set[name] as Tensor)));
    const pieces = update(joined as T).map((tensor) => tf.split(tensor, lengths));
    for (const [i, name] of vectors.entries())
      made.set(
        name,
        pieces.map((of) => of[i] as Tensor),
      );
  }
  const results = names.map((name) => made.get(name) ?? update(named(name) as T));
  return (results[0] ?? []).map((_, i) => Object.fromEntries(names.map((name, j) => [name, results[j]?.[i] as Tensor])));
}

/** sqrt of the sum of squares over all tensors. */
function globalNorm(tensors: Parameters): Tensor {
  return tf.sqrt(
    Object.values(tensors)
      .map((t) => tf.sum(tf.square(t)))
      .reduce((a, b) => tf.add(a, b)),
  );
}

/** average + (1 - decay) (value - average), for every parameter. `decay` may be a tensor, to ramp it up. */
export function updateAverage(average: Parameters, values: Parameters, decay: Tensor): Parameters {
  const share = tf.sub(1, decay);
  const moved = ([old, value]: [Tensor, Tensor]): Tensor[] => [tf.add(old, tf.mul(tf.sub(value, old), share))];
  return eachTensor([average, values], moved)[0] ?? {};
}

/**
 * EMA decay at a step: it starts short, so that early steps are forgotten, and reaches `ema` (Karras et al. 2022, appendix F). With
 * `ramp` its half-life is that share of the steps so far at most, as their code has it.
 */
export function averageDecay(step: number, ema: number, ramp?: number): Float32Array {
  return Float32Array.of(Math.min(ema, ramp === undefined ? (step + 1) / (step + 10) : 0.5 ** (1 / (ramp * (step + 1)))));
}

/** Value of a loss and its gradient by every parameter; `metrics` are passed through from the loss function. */
export function lossAndGradients(
  parameters: Parameters,
  loss: (parameters: Parameters) => { loss: Tensor; metrics: Parameters },
): { loss: Tensor; metrics: Parameters; gradients: Parameters } {
  const names = Object.keys(parameters);
  let metrics: Parameters = {};
  const { value, grads } = tf.valueAndGrads((...values: Tensor[]) => {
    const result = loss(Object.fromEntries(names.map((name, i) => [name, values[i] as Tensor])));
    metrics = Object.fromEntries(Object.entries(result.metrics).map(([name, tensor]) => [name, tf.keep(tf.clone(tensor))]));
    return result.loss as Scalar;
  })(names.map((name) => parameters[name] as Tensor));
  for (const [name, kept] of Object.entries(metrics)) {
    metrics[name] = tf.clone(kept); // belongs to the caller's scope, as the gradients do
    kept.dispose();
  }
  return { loss: value, metrics, gradients: Object.fromEntries(names.map((name, i) => [name, grads[i] as Tensor])) };
}
