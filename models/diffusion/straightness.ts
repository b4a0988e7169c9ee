/** How straight the paths of a network's flow are (Liu et al. 2023, definition 3.1; docs/METHODS.md 4.1). */
import { type Tensor, tf } from "../../engine/tfjs.ts";
import { applyNetwork, type DenoiserSpec, embedConditions } from "../denoiser.ts";
import type { Parameters } from "../layers.ts";
import { numbers } from "./arithmetic.ts";
import { denoise } from "./denoise.ts";
import { createParameterisation } from "./parameterisation.ts";

/**
 * S(Z) = int_0^1 E |(Z_1 - Z_0) - v(Z_t, t)|^2 dt, mean over all elements, of the paths that start in unit `noise` [b, h, w, c]:
 * a scalar, 0 where all are straight. In the paper's coordinates Z_t = t x with sigma = (1 - t) / t, and v = (D - Z_t) / (1 - t);
 * t begins where sigma is sigmaMax, and Euler takes `steps` equal steps of it. `given` are the condition inputs.
 */
export function pathStraightness(options: {
  spec: DenoiserSpec;
  parameters: Parameters;
  noise: Tensor;
  given: Record<string, Tensor>;
  steps: number;
}): Tensor {
  const { spec, parameters, noise, given, steps } = options;
  const { precondition, sigmaMax } = createParameterisation(spec.diffusion);
  const condition = embedConditions(spec, parameters, given);
  const begin = 1 / (1 + sigmaMax);
  const step = (1 - begin) / steps;
  const start = tf.mul(noise, sigmaMax * begin);
  let path: Tensor = start;
  const velocities = Array.from({ length: steps }, (_, i) => {
    const time = begin + i * step;
    const clean = denoise({
      x: tf.div(path, time),
      coefficients: precondition((1 - time) / time, numbers),
      network: (at) => applyNetwork(spec, parameters, { ...at, condition }),
    });
    const velocity = tf.div(tf.sub(clean, path), 1 - time);
    path = tf.add(path, tf.mul(velocity, step));
    return velocity;
  });
  const straight = tf.div(tf.sub(path, start), 1 - begin);
  const squares = velocities.map((velocity) => tf.mean(tf.square(tf.sub(straight, velocity))));
  return tf.div(
    squares.reduce((sum, square) => tf.add(sum, square)),
    steps,
  );
}
