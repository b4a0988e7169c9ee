import { createEngine, type Engine } from "./engine/engine.ts";
import { tf, type Tensor, type Scalar } from "./engine/tfjs.ts";
import { weightsOf } from "./test/engine/double.ts";
import { createDraw } from "./test/engine/draw.ts";
import { worst } from "./test/engine/parity.ts";
import { specimens } from "./test/engine/specimens.ts";
const [dev, names, cases] = process.argv.slice(2);
const eager = await createEngine({ device: "eager" });
const other = await createEngine({ device: dev as "cpu", threads: 1 });
async function evaluate(engine: Engine, kernel: string, seed: number) {
  const { shapes, body, gradient = true, range: [low, high] = [-2, 2] } = specimens[kernel]!(createDraw(seed, kernel));
  const draw = createDraw(seed, `${kernel} numbers`);
  const fill = (a: number, b: number) => shapes.map((s) => draw.spread(tf.util.sizeFromShape(s), a, b));
  const inputs = fill(low, high), direction = fill(-1, 1);
  const program = await engine.compile({ name: kernel, sets: {}, inputs: Object.fromEntries(shapes.map((shape, i) => [`x${i}`, { shape }])),
    run: (_, given) => {
      const tensors = shapes.map((_s, i) => given[`x${i}`] as Tensor);
      const value = tf.cast(body(...tensors), "float32");
      if (!gradient) return { outputs: { value } };
      const weights = tf.tensor(weightsOf(value.size), value.shape);
      const loss = (...t: Tensor[]): Scalar => tf.sum(tf.mul(tf.square(body(...t)), weights));
      const gradients = tf.grads(loss);
      const slope = (...t: Tensor[]): Scalar => tf.addN(gradients(t).map((g, i) => tf.sum(tf.mul(g, tf.tensor(Float32Array.from(direction[i]!), shapes[i]))))) as Scalar;
      const nm = (w: string, l: Tensor[]) => Object.fromEntries(l.map((t, i) => [`${w} ${i}`, t]));
      return { outputs: { value, ...nm("gradient", gradients(tensors)), ...nm("curvature", tf.grads(slope)(tensors)) } };
    } });
  const o = await program.run(Object.fromEntries(inputs.map((v, i) => [`x${i}`, Float32Array.from(v)])));
  return Object.fromEntries(Object.entries(o).map(([n, v]) => [n, Array.from(v)]));
}
const list = names === "all" || !names ? Object.keys(specimens) : names.split(",");
let bad = 0;
for (const kernel of list) for (let seed = 0; seed < Number(cases ?? 4); seed++) {
  const t = performance.now();
  try {
    const a = await evaluate(other, kernel, seed), b = await evaluate(eager, kernel, seed);
    const { error, output } = worst(a, b);
    if (!(error < 1e-4)) { bad++; console.log(kernel, seed, output, error, specimens[kernel]!(createDraw(seed, kernel)).about); }
  } catch (e) { bad++; console.log(kernel, seed, JSON.stringify(specimens[kernel]!(createDraw(seed, kernel)).shapes), specimens[kernel]!(createDraw(seed, kernel)).about, (e as Error).message.slice(0, 300), (e as Error).stack?.split("\n").filter((l) => l.includes("engine/"))[0]); }
  const ms = performance.now() - t; if (ms > 3000) console.log("slow", kernel, seed, ms);
}
console.log("bad", bad, "of", list.length);
process.exit();
