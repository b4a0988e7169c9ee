/** Fits a cubic to noisy points by gradient descent: variables in, new variables out. Run: npx tsx engine/examples/curve.ts */
import { createEngine } from "../engine.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { tf, type Tensor } from "../tfjs.ts";

const POINTS = 64;
const TRUTH = [0.5, -1, 0.25, 2]; // of 1, x, x^2, x^3

const x = Float32Array.from({ length: POINTS }, (_, i) => (2 * i) / (POINTS - 1) - 1);
const noise = normals({ seed: 1, stream: "noise", length: POINTS });
const y = x.map((t, i) => TRUTH.reduce((sum, c, power) => sum + c * t ** power, 0) + 0.01 * noise[i]!);

/** The coefficients found, and the loss. */
export async function fitCurve({ steps = 2000 } = {}): Promise<{ coefficients: number[]; loss: number }> {
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const model = engine.variables("model", { c: { shape: [4], data: new Float32Array(4) } });

  // The function is called once, while it is compiled; what it does to tensors becomes one graph, gradient included.
  const step = await engine.compile({
    name: "step",
    sets: { model },
    inputs: { x: { shape: [POINTS] }, y: { shape: [POINTS] } },
    run: ({ model: { c } }, { x, y }) => {
      const powers = tf.stack([tf.onesLike(x!), x!, tf.square(x!), tf.mul(tf.square(x!), x!)], 1);
      const error = (c: Tensor) => tf.mean(tf.square(tf.sub(tf.dot(powers, c), y!)));
      const { value, grad } = tf.valueAndGrad(error)(c!);
      return { outputs: { loss: value }, updates: { model: { c: tf.sub(c!, tf.mul(grad, 0.5)) } } };
    },
  });

  for (let i = 1; i < steps; i++) await step.run({ x, y }, { outputs: [] }); // nothing is read back
  const { loss } = await step.run({ x, y });
  const { c } = await model.read();
  await engine.dispose();
  return { coefficients: [...c!.data], loss: loss![0]! };
}

if (process.argv[1] === import.meta.filename) console.log("truth", TRUTH, "found", await fitCurve());
