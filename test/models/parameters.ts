import { normals } from "../../schemas/numbers/philox.ts";
import { tf } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import type { Parameters } from "../../models/layers.ts";

/** Weights as tensors of the current tfjs backend. */
export function toParameters(weights: Weights): Parameters {
  return Object.fromEntries(Object.entries(weights).map(([name, { shape, data }]) => [name, tf.tensor(data, shape)]));
}

/** Weights with N(0, std^2) added, so that no layer is silent. */
export function perturbed(weights: Weights, std = 0.1): Weights {
  const noisy = Object.entries(weights).map(([name, { shape, data }]) => {
    const noise = normals({ seed: 7, stream: name, length: data.length });
    return [name, { shape, data: data.map((value, i) => value + std * (noise[i] as number)) }];
  });
  return Object.fromEntries(noisy);
}

/** A tensor of standard normals. */
export function noise(stream: string, shape: number[]) {
  const length = shape.reduce((a, b) => a * b, 1);
  return tf.tensor(normals({ seed: 11, stream, length }), shape);
}
