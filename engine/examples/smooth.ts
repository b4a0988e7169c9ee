/**
 * A small network learns a step from few points, with a penalty on its second derivative by the input: a gradient of a
 * gradient, differentiated once more for the update. Run: npx tsx engine/examples/smooth.ts
 */
import { createEngine } from "../engine.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { tf, type Tensor, type Scalar } from "../tfjs.ts";

const HIDDEN = 32;
const x = Float32Array.from({ length: 16 }, (_, i) => (2 * i) / 15 - 1);
const y = x.map((t) => Math.sign(t));

/** f: [n, 1] -> [n, 1]. */
const network = (p: Record<string, Tensor>, t: Tensor): Tensor => tf.matMul(tf.tanh(tf.add(tf.matMul(t, p.inner!), p.bias!)), p.outer!);

/** The network's error and the mean square of its second derivative after training with the penalty's weight. */
export async function fitSmoothly({
  weight,
  steps = 800,
}: {
  weight: number;
  steps?: number;
}): Promise<{ error: number; curvature: number }> {
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const random = (stream: string, shape: number[], scale: number) => ({
    shape,
    data: normals({ seed: 0, stream, length: shape.reduce((a, b) => a * b) }).map((n) => n * scale),
  });
  const model = engine.variables("model", {
    inner: random("inner", [1, HIDDEN], 3),
    bias: random("bias", [HIDDEN], 1),
    outer: random("outer", [HIDDEN, 1], 0.2),
  });
  const step = await engine.compile({
    name: "smooth step",
    sets: { model },
    inputs: { x: { shape: [16, 1] }, y: { shape: [16, 1] } },
    run: ({ model: parameters }, { x, y }) => {
      const names = Object.keys(parameters);
      const measure = (...values: Tensor[]): { error: Tensor; curvature: Tensor } => {
        const p = Object.fromEntries(names.map((name, i) => [name, values[i]!]));
        const slope = tf.grad((t: Tensor) => tf.sum(network(p, t))); // each output depends on its own input alone
        const second = tf.grad((t: Tensor) => tf.sum(slope(t)))(x!);
        return { error: tf.mean(tf.square(tf.sub(network(p, x!), y!))), curvature: tf.mean(tf.square(second)) };
      };
      const loss = (...values: Tensor[]): Scalar => {
        const { error, curvature } = measure(...values);
        return tf.add(error, tf.mul(curvature, weight));
      };
      const values = names.map((name) => parameters[name]!);
      const gradients = tf.grads(loss)(values);
      const next = names.map((name, i) => [name, tf.sub(values[i]!, tf.mul(gradients[i]!, 0.003))]);
      return { outputs: measure(...values), updates: { model: Object.fromEntries(next) } };
    },
  });
  for (let i = 1; i < steps; i++) await step.run({ x, y }, { outputs: [] });
  const { error, curvature } = await step.run({ x, y });
  await engine.dispose();
  return { error: error![0]!, curvature: curvature![0]! };
}

if (process.argv[1] === import.meta.filename) {
  for (const weight of [0, 1e-3]) console.log(`weight ${weight}:`, await fitSmoothly({ weight }));
}
