/** Runs a function of tensors compiled and on the tfjs CPU backend, with its gradients, for comparison. */
import { createEngine, type Engine } from "../../engine/engine.ts";
import { builtTensorflow } from "../../engine/tensorflow.ts";
import { uniforms } from "../../schemas/numbers/philox.ts";
import { tf, type Tensor, type Scalar } from "../../engine/tfjs.ts";

export type Body = (...tensors: Tensor[]) => Tensor;

export interface Case {
  shapes: number[][];
  body: Body;
  /** Inputs are uniform in this range, [-2, 2] unless told. */
  range?: readonly [number, number];
  /** False for what has no gradient. */
  gradient?: boolean;
}

/** Uniform numbers in a range, the same on every call. */
export function sample(stream: string, shape: readonly number[], range: readonly [number, number] = [-2, 2]): Float32Array {
  const [low, high] = range;
  const length = shape.reduce((a, b) => a * b, 1);
  return Float32Array.from(uniforms({ seed: 5, stream, length }), (u) => low + (high - low) * u);
}

/** Value of the body and, where it has them, the gradients of a weighted sum of it by every input. */
export async function evaluate(
  engine: Engine,
  name: string,
  { shapes, body, range, gradient = true }: Case,
): Promise<Record<string, number[]>> {
  const inputs = Object.fromEntries(shapes.map((shape, i) => [`x${i}`, { shape }]));
  const program = await engine.compile({
    name,
    sets: {},
    inputs,
    run: (_, given) => {
      const tensors = shapes.map((_shape, i) => given[`x${i}`] as Tensor);
      const value = tf.cast(body(...tensors), "float32");
      if (!gradient) return { outputs: { value } };
      const weights = tf.tensor(sample("weights", value.shape), value.shape);
      const loss = (...t: Tensor[]): Scalar => tf.sum(tf.mul(body(...t), weights));
      const gradients = tf.grads(loss)(tensors);
      return { outputs: { value, ...Object.fromEntries(gradients.map((g, i) => [`gradient by input ${i}`, g])) } };
    },
  });
  const feeds = Object.fromEntries(shapes.map((shape, i) => [`x${i}`, sample(`${name} ${i}`, shape, range)]));
  const outputs = await program.run(feeds);
  return Object.fromEntries(Object.entries(outputs).map(([key, values]) => [key, Array.from(values)]));
}

/** The largest difference between outputs, relative to the largest element (at least 1) of each; says which is worst. */
export function worst(actual: Record<string, number[]>, expected: Record<string, number[]>): { error: number; output: string } {
  let found = { error: 0, output: "" };
  for (const [output, values] of Object.entries(expected)) {
    const scale = Math.max(1, ...values.map(Math.abs));
    const error = Math.max(0, ...values.map((value, i) => Math.abs(value - (actual[output]?.[i] ?? Number.NaN)) / scale));
    if (!(error <= found.error)) found = { error, output };
  }
  return found;
}

/** Both engines, made once for a file, and one on the user's TensorFlow where ONESTEP_TENSORFLOW names what was built. */
export async function engines(): Promise<{ eager: Engine; compiled: Engine; tensorflow?: Engine }> {
  const tensorflow = process.env.ONESTEP_TENSORFLOW !== undefined && builtTensorflow() !== undefined;
  return {
    eager: await createEngine({ device: "eager" }),
    compiled: await createEngine({ device: (process.env.ONESTEP_PARITY_DEVICE ?? "cpu") as "cpu", threads: 1 }),
    ...(tensorflow && { tensorflow: await createEngine({ device: "tensorflow" }) }),
  };
}
