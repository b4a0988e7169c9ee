/** One step of a program as a function, and a training step with its optimiser written out, as PyTorch's are. */
import type { Engine } from "../../../engine/engine.ts";
import type { ProgramSpec, Tensors } from "../../../engine/program.ts";
import { type Scalar, type Tensor, tf } from "../../../engine/tfjs.ts";
import { type Weights, zerosLike } from "../../../engine/weights.ts";
import type { Parameters } from "../../../models/layers.ts";
import { normals } from "../../../schemas/numbers/philox.ts";

export type Step = () => Promise<unknown>;

type Loss = (parameters: Parameters, inputs: Tensors, frozen: Parameters) => Tensor;
type Shapes = Record<string, number[]>;

export function feedsOf(shapes: Shapes): Record<string, Float32Array> {
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [name, normals({ seed: 1, stream: name, length: shape.reduce((a, b) => a * b, 1) })]),
  );
}
export const declared = (shapes: Shapes): ProgramSpec["inputs"] =>
  Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, { shape }]));
export const meanSquare = (a: Tensor, b: Tensor): Tensor => tf.mean(tf.square(tf.sub(a, b)));

/** One step of a network's weights; `frozen` ones are given to the loss besides. */
export async function train(
  engine: Engine,
  options: { weights: Weights; frozen?: Weights; shapes: Shapes; loss: Loss; adam: boolean },
): Promise<Step> {
  const { weights, frozen = {}, shapes, loss, adam } = options;
  const network = engine.variables("network", weights);
  const first = engine.variables("first", adam ? zerosLike(weights) : {});
  const second = engine.variables("second", adam ? zerosLike(weights) : {});
  const { run } = await engine.compile({
    name: "step",
    sets: { network, first, second, frozen: engine.constants("frozen", frozen) },
    inputs: { ...declared(shapes), correction1: { shape: [] }, correction2: { shape: [] } },
    run: (sets, inputs) => {
      const names = Object.keys(sets.network);
      const value = (...given: Tensor[]): Scalar =>
        loss(Object.fromEntries(names.map((name, i) => [name, given[i]!])), inputs, sets.frozen) as Scalar;
      const { value: at, grads } = tf.valueAndGrads(value)(names.map((name) => sets.network[name] as Tensor));
      const updates: Record<"network" | "first" | "second", Tensors> = { network: {}, first: {}, second: {} };
      for (const [i, name] of names.entries()) {
        const [w, g] = [sets.network[name] as Tensor, grads[i] as Tensor];
        if (!adam) {
          updates.network[name] = tf.sub(w, tf.mul(g, 1e-2));
          continue;
        }
        const m = tf.add(tf.mul(sets.first[name] as Tensor, 0.9), tf.mul(g, 0.1));
        const v = tf.add(tf.mul(sets.second[name] as Tensor, 0.999), tf.mul(tf.square(g), 0.001));
        const root = tf.add(tf.sqrt(tf.div(v, inputs.correction2 as Tensor)), 1e-8);
        updates.first[name] = m;
        updates.second[name] = v;
        updates.network[name] = tf.sub(w, tf.mul(tf.div(tf.div(m, inputs.correction1 as Tensor), root), 1e-3));
      }
      return { outputs: { loss: at }, updates };
    },
  });
  const feeds = feedsOf(shapes);
  let t = 0;
  return () => run({ ...feeds, correction1: Float32Array.of(1 - 0.9 ** ++t), correction2: Float32Array.of(1 - 0.999 ** t) });
}
