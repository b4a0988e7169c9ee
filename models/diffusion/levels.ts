/** A denoiser that is asked at a noise level of its own for each row, inside a traced function. */
import { type Tensor, tf } from "../../engine/tfjs.ts";
import { applyNetwork, conditionInputs, type DenoiserSpec, embedConditions } from "../denoiser.ts";
import { isConditional } from "../encoders/own.ts";
import { type Parameters, spread } from "../layers.ts";
import { tensors } from "./arithmetic.ts";
import { denoise } from "./denoise.ts";
import { doubled, guidedNetwork } from "./guidance.ts";
import { createParameterisation } from "./parameterisation.ts";

/** D(x; sigma) -> clean, of numbers or tensors. */
export type Denoiser<T> = (x: T, sigma: T) => T;

/**
 * The denoiser of these parameters: x [b, h, w, c] at levels sigma > 0 [b] -> clean [b, h, w, c]. Among the inputs
 * `given` are the network's conditions, embedded once however often it is asked. With a guidance `scale`, a number or
 * one a row [b], it answers the guided prediction (models/diffusion/guidance.ts), from one call of twice the rows; a
 * network without conditions, and the number 1, are not guided.
 */
export function denoiserOf(options: {
  spec: DenoiserSpec;
  parameters: Parameters;
  given: Record<string, Tensor>;
  scale?: number | Tensor;
}): Denoiser<Tensor> {
  const { spec, parameters, given, scale = 1 } = options;
  const { precondition } = createParameterisation(spec.diffusion);
  const isGuided = scale !== 1 && isConditional(spec.network);
  const own = conditionsOf(spec, given);
  const held = isGuided ? guidedConditions(own) : own;
  const condition = embedConditions(spec, parameters, held);
  const plain = ({ x, noiseLevel }: { x: Tensor; noiseLevel: Tensor }): Tensor =>
    applyNetwork(spec, parameters, { x, noiseLevel, condition });
  const network = isGuided ? guidedNetwork({ scale: typeof scale === "number" ? scale : spread(scale), network: plain }) : plain;
  return (x, sigma) => denoise({ x, coefficients: precondition(sigma, tensors), network });
}

/** The network's conditions among a program's inputs; with `rows` those of the first rows. */
export function conditionsOf(spec: DenoiserSpec, inputs: Record<string, Tensor>, rows?: number): Record<string, Tensor> {
  return Object.fromEntries(
    Object.keys(conditionInputs(spec, 1)).map((name) => {
      const values = inputs[name] as Tensor;
      if (rows === undefined) return [name, values];
      return [name, tf.slice(values, new Array(values.rank).fill(0), [rows, ...values.shape.slice(1)])];
    }),
  );
}

/** Conditions of a batch doubled, which the first half keeps as it would have, and the second drops. */
function guidedConditions({ keep, ...conditions }: Record<string, Tensor>): Record<string, Tensor> {
  const both = Object.fromEntries(Object.entries(conditions).map(([name, values]) => [name, doubled(values)]));
  return { ...both, keep: tf.concat([keep as Tensor, tf.zerosLike(keep as Tensor)]) };
}
