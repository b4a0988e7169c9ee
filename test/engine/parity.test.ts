/**
 * Every kernel over random shapes: values and gradients compiled against TensorFlow.js's CPU backend, first and second
 * derivatives against central differences in double precision. ONESTEP_PARITY_CASES is the number of cases a kernel gets,
 * ONESTEP_PARITY_SEED the seed of the first, ONESTEP_PARITY_KERNEL names the only kernel, ONESTEP_PARITY_DEVICE the device that is compiled
 * for; where ONESTEP_TENSORFLOW names what was built, device "tensorflow" is compared too.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { Engine } from "../../engine/engine.ts";
import { tf, type Tensor, type Scalar } from "../../engine/tfjs.ts";
import { assert, suite } from "../harness.ts";
import { type Differences, type Request, weightsOf } from "./double.ts";
import { createDraw } from "./draw.ts";
import { engines, worst } from "./parity.ts";
import { specimens } from "./specimens.ts";

const test = suite("parity");
const { eager, compiled, tensorflow } = await engines();
const double = new Worker(new URL("./double-worker.mjs", import.meta.url), {
  workerData: { module: new URL("./double.ts", import.meta.url).href, answer: "differences" },
});
const CASES = Number(process.env.ONESTEP_PARITY_CASES ?? 4);
const SEED = Number(process.env.ONESTEP_PARITY_SEED ?? 0);
const only = process.env.ONESTEP_PARITY_KERNEL;

async function differences(request: Request): Promise<Differences> {
  double.postMessage(request);
  const [answer] = (await once(double, "message")) as [Differences & { error?: string }];
  if (answer.error) throw new Error(`in double precision: ${answer.error}`);
  return answer;
}

/** The value, its gradient by each input, and the derivative of the gradient along `direction`. */
async function evaluate(engine: Engine, kernel: string, seed: number, request: Request): Promise<Record<string, number[]>> {
  const { shapes, body, gradient = true } = specimens[kernel]!(createDraw(seed, kernel));
  const direction = request.along[0];
  const program = await engine.compile({
    name: `${kernel} ${seed}`,
    sets: {},
    inputs: Object.fromEntries(shapes.map((shape, i) => [`x${i}`, { shape }])),
    run: (_, given) => {
      const tensors = shapes.map((_shape, i) => given[`x${i}`] as Tensor);
      const value = tf.cast(body(...tensors), "float32");
      if (!gradient) return { outputs: { value } };
      const weights = tf.tensor(weightsOf(value.size), value.shape);
      const loss = (...t: Tensor[]): Scalar => tf.sum(tf.mul(tf.square(body(...t)), weights));
      const gradients = tf.grads(loss);
      const slope = (...t: Tensor[]): Scalar =>
        tf.addN(gradients(t).map((g, i) => tf.sum(tf.mul(g, tf.tensor(Float32Array.from(direction[i]!), shapes[i]))))) as Scalar;
      const named = (what: string, list: Tensor[]) => Object.fromEntries(list.map((t, i) => [`${what} ${i}`, t]));
      return { outputs: { value, ...named("gradient", gradients(tensors)), ...named("curvature", tf.grads(slope)(tensors)) } };
    },
  });
  const outputs = await program.run(Object.fromEntries(request.inputs.map((values, i) => [`x${i}`, Float32Array.from(values)])));
  return Object.fromEntries(Object.entries(outputs).map(([name, values]) => [name, Array.from(values)]));
}

/** The product of a list of vectors with a direction, and the sum of its terms' sizes. */
function dot(outputs: Record<string, number[]>, what: string, direction: Float64Array[]): { value: number; scale: number } {
  const terms = direction.flatMap((d, i) => (outputs[`${what} ${i}`] as number[]).map((g, j) => g * (d[j] as number)));
  return {
    value: terms.reduce((a, b) => a + b, 0),
    scale: Math.max(
      1,
      terms.reduce((a, b) => a + Math.abs(b), 0),
    ),
  };
}

let compared = 0;
let kinks = 0;
/** Compares one case; says how it differs. */
async function check(kernel: string, seed: number): Promise<void> {
  const { shapes, range: [low, high] = [-2, 2], gradient } = specimens[kernel]!(createDraw(seed, kernel));
  const draw = createDraw(seed, `${kernel} numbers`);
  const fill = (from: number, to: number) => shapes.map((shape) => draw.spread(tf.util.sizeFromShape(shape), from, to));
  const request: Request = { kernel, seed, inputs: fill(low, high), along: [fill(-1, 1), fill(-1, 1)] };
  const reference = await evaluate(eager, kernel, seed, request);
  const split = (from: Record<string, number[]>, second: boolean) =>
    Object.fromEntries(Object.entries(from).filter(([name]) => name.startsWith("curvature") === second));
  const checked = async (engine: Engine): Promise<Record<string, number[]>> => {
    const outputs = await evaluate(engine, kernel, seed, request);
    for (const [second, tolerance] of [
      [false, 1e-5],
      [true, 1e-4],
    ] as const) {
      const { error, output } = worst(split(outputs, second), split(reference, second));
      assert.ok(error <= tolerance, `${output} on device "${engine.device}" differs by ${error} from the CPU backend`);
    }
    return outputs;
  };
  const outputs = await checked(compiled);
  if (tensorflow) await checked(tensorflow);
  if (gradient === false) return;
  const exact = await differences(request);
  compared++;
  if (exact.kink) {
    kinks++;
    return;
  }
  const first = dot(outputs, "gradient", request.along[0]);
  assert.ok(Math.abs(first.value - exact.first) <= 1e-5 * first.scale, `slope ${first.value}, exact ${exact.first}`);
  const second = dot(outputs, "curvature", request.along[1]);
  const tolerance = 1e-4 * Math.max(second.scale, first.scale);
  assert.ok(Math.abs(second.value - exact.second) <= tolerance, `curvature ${second.value}, exact ${exact.second}`);
}

for (const kernel of Object.keys(specimens).filter((name) => !only || name === only)) {
  test(
    kernel,
    async () => {
      for (let seed = SEED; seed < SEED + CASES; seed++) {
        try {
          await check(kernel, seed);
        } catch (error) {
          const { shapes, about = "" } = specimens[kernel]!(createDraw(seed, kernel));
          throw new Error(`seed ${seed}, ${JSON.stringify(shapes)} ${about}: ${(error as Error).message}`, { cause: error });
        }
      }
    },
    { seconds: 300 },
  );
}

test("few cases lie at a kink, where nothing is compared", () => {
  assert.ok(kinks <= 0.1 * compared + 1, `${kinks} of ${compared}`);
});

test.after(async () => {
  await compiled.dispose();
  await double.terminate();
});
test.run();
