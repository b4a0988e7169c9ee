/** A denoiser without what one of its places adds: what is missed then is what that part of the network serves. */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { applyNetwork, type DenoiserSpec, embedConditions } from "../denoiser.ts";
import type { Hooks } from "../families/family.ts";
import type { Parameters } from "../layers.ts";
import { denoise } from "./denoise.ts";
import type { Preconditioning } from "./parameterisation.ts";

/** A place of a network. */
export interface Ablated {
  place: string;
  /** Whether it adds to what came before it, of the same shape; otherwise all that passes there is its part. */
  adds: boolean;
}

/**
 * D(x; sigma) of x [b, h, w, c]; `coefficients` are one value a sample [b], `given` condition inputs. At the place `without`
 * features f are replaced by a g + the mean over the batch of (f - a g): g is what came from the place before, and a its best
 * multiple, <f, g> / <g, g> over the batch. So the part of f that tells one row from another and was not there before is gone.
 * Where f has another shape than g, or there is no g, a is 0. `places` is told of each place that is passed.
 */
export function denoiseWithout(options: {
  spec: DenoiserSpec;
  parameters: Parameters;
  x: Tensor;
  coefficients: Preconditioning<Tensor>;
  given: Record<string, Tensor>;
  without?: string;
  onPlace?: (passed: Ablated) => void;
}): Tensor {
  const { spec, parameters, x, coefficients, given, without, onPlace } = options;
  const condition = embedConditions(spec, parameters, given);
  let before: Tensor | undefined;
  const inject: Hooks["inject"] = (place, features) => {
    const adds = before !== undefined && String(before.shape) === String(features.shape);
    onPlace?.({ place, adds });
    const kept = place === without ? muted(features, adds ? before : undefined) : features;
    before = kept;
    return kept;
  };
  return denoise({ x, coefficients, network: (at) => applyNetwork(spec, parameters, { ...at, condition }, { inject }) });
}

function muted(features: Tensor, before?: Tensor): Tensor {
  if (!before) return tf.add(tf.zerosLike(features), tf.mean(features, 0, true));
  const multiple = tf.div(tf.sum(tf.mul(features, before)), tf.add(tf.sum(tf.square(before)), 1e-20));
  const passed = tf.mul(before, multiple);
  return tf.add(passed, tf.mean(tf.sub(features, passed), 0, true));
}
