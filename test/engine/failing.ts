/** A compute module that is slow, or fails in every way a worker can. It loads an engine only where it needs one: it starts at once. */
import type { Tensor } from "../../engine/tfjs.ts";

export type How = "throw" | "uncaught" | "exit" | "heap" | "runtime" | "uncloneable";

const kept: unknown[] = [];

export async function create({ start }: { start?: How }) {
  if (start) await fail(start);
  let begun = 0;
  return {
    fail,
    /** Holds the thread for some milliseconds, or until a gate is open, as native code does, and answers how many calls were begun. */
    work: async ({ ms, gate }: { ms?: number; gate?: Int32Array; data?: Float32Array }): Promise<number> => {
      begun++;
      Atomics.wait(gate ?? new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
      await new Promise((resolve) => setImmediate(resolve));
      return begun;
    },
    /** A large result, twice the same array. */
    result: async (length: number): Promise<{ twice: Float32Array[] }> => {
      const array = new Float32Array(length).fill(1);
      return { twice: [array, array] };
    },
  };
}

export type Failing = Awaited<ReturnType<typeof create>>;

/** Fails in one of the ways. */
export async function fail(how: How): Promise<void> {
  if (how === "throw") throw new Error("an error of the method");
  if (how === "exit") process.exit(7);
  if (how === "uncloneable") throw Object.assign(new Error("an odd error"), { odd: () => {} });
  if (how === "heap") for (;;) kept.push(Array.from({ length: 1e5 }, (_, i) => ({ i })));
  if (how === "uncaught") {
    setImmediate(() => {
      throw new Error("nobody catches this");
    });
    await new Promise(() => {});
  }
  const [{ createEngine }, { tf }] = await Promise.all([import("../../engine/engine.ts"), import("../../engine/tfjs.ts")]);
  const side = 2 ** 20;
  const engine = await createEngine({ threads: 1 });
  const huge = await engine.compile({
    name: "huge",
    sets: {},
    inputs: { x: { shape: [side, 1] }, y: { shape: [1, side] } },
    run: (_, { x, y }) => ({ outputs: { z: tf.sum(tf.tanh(tf.add(x as Tensor, y as Tensor))) } }),
  });
  await huge.run({ x: new Float32Array(side), y: new Float32Array(side) });
}
