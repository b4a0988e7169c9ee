/** A compute module for compute.test.ts. */
import { readFile } from "node:fs/promises";
import { threadId } from "node:worker_threads";
import { createEngine } from "../../engine/engine.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";

/** The worker's methods. Throws at once where `broken` is set. */
export async function create({ broken }: { broken?: boolean }) {
  if (broken) throw new Error("cannot start: broken was asked for");
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const program = await engine.compile({
    name: "power",
    sets: {},
    inputs: { x: { shape: [512, 512] } },
    run: (_, { x }) => {
      let y = x as Tensor;
      for (let i = 0; i < 12; i++) y = tf.tanh(tf.matMul(y, x as Tensor));
      return { outputs: { y: tf.mean(y) } };
    },
  });
  let calls = 0;
  return {
    double: async (values: Float32Array): Promise<Float32Array> => values.map((value) => 2 * value),
    thread: async (): Promise<number> => threadId,
    count: async (): Promise<number> => calls++,
    fail: async (exitCode: number): Promise<never> => {
      throw Object.assign(new Error("asked to fail"), { name: "Failure", exitCode });
    },
    /** Fails by an error of the system inside another error, among several. */
    read: async (): Promise<never> => {
      const error = await readFile("/nowhere/at/all").catch((met) => met);
      throw new Error("cannot load", { cause: new AggregateError([new Error("other"), error], "two") });
    },
    /** Keeps the thread busy inside ONNX Runtime. */
    work: async (runs: number): Promise<number> => {
      let last = 0;
      for (let i = 0; i < runs; i++) last = (await program.run({ x: new Float32Array(512 * 512).fill(1e-3) })).y?.[0] as number;
      return last;
    },
  };
}

export type Calculator = Awaited<ReturnType<typeof create>>;
