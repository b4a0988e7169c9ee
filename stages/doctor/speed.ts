/** How fast a device is, measured by small programs: products, convolutions, and arithmetic that memory bounds. */
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import type { Cost } from "../../engine/cost.ts";
import { encodeModel } from "../../engine/onnx.ts";

/** What is measured on. */
interface Where {
  threads: number;
  signal: AbortSignal;
}

/** Operations a second of products and of convolutions, and bytes a second that other arithmetic reads and writes. */
export interface Speed {
  products: number;
  convolutions: number;
  moved: number;
}

/** Operations chained in each program, and the sides of what they work on. */
const CHAINED = 8;
const ROWS = 256;
const SIDE = 1024;
const CHANNELS = 128;
const PIXELS = 32;

/** Eight products of [256, 1024] and [1024, 1024]: 4.3 GFLOP. */
const products = (): Uint8Array => chained("MatMul", [ROWS, SIDE], [SIDE, SIDE]);
/** Eight convolutions of 3 x 3 over 32 x 32 pixels of 128 channels: 2.4 GFLOP. */
const convolutions = (): Uint8Array => chained("Conv", [1, CHANNELS, PIXELS, PIXELS], [CHANNELS, CHANNELS, 3, 3], { pads: [1, 1, 1, 1] });
/** Eight multiplications of 4 million numbers each by themselves: 403 MB read and written. */
const multiplications = (): Uint8Array => chained("Mul", [4 * SIDE, SIDE], [4 * SIDE, SIDE]);

/** The time that a run on a device of this speed takes: products, convolutions and memory one after the other, in seconds. */
export function secondsOf({ products, convolutions, moved }: Pick<Cost, keyof Speed>, speed: Speed): number {
  return products / speed.products + convolutions / speed.convolutions + moved / speed.moved;
}

/** The speed of a device; undefined where it does not answer. */
export async function speedOf(device: string, where: Where): Promise<Speed | undefined> {
  const ms = await millisecondsOf(device, [products(), convolutions(), multiplications()], where);
  if (!ms) return undefined;
  const [product, convolution, multiplication] = ms as [number, number, number];
  return {
    products: (1000 * CHAINED * 2 * ROWS * SIDE * SIDE) / product,
    convolutions: (1000 * CHAINED * 2 * 9 * (CHANNELS * PIXELS) ** 2) / convolution,
    moved: (1000 * CHAINED * 3 * 4 * 4 * SIDE * SIDE) / multiplication,
  };
}

/** Milliseconds of 4.3 GFLOP of products on a device; undefined where it does not answer. */
export async function productTime(device: string, where: Where): Promise<number | undefined> {
  return (await millisecondsOf(device, [products()], where))?.[0];
}

/** An operation applied again and again to a first operand, with a second that stays; both are made on the device of one number. */
function chained(op: string, first: readonly number[], second: readonly number[], attributes = {}): Uint8Array {
  const shape = (name: string, sizes: readonly number[]) => ({
    ...{ name, shape: [sizes.length], dtype: "int64" as const },
    data: BigInt64Array.from(sizes, BigInt),
  });
  const node = (op: string, inputs: string[], output: string, attributes = {}) => ({ op, inputs, outputs: [output], attributes });
  return encodeModel({
    inputs: [{ name: "x", shape: [], dtype: "float32" }],
    outputs: [{ name: "y", shape: undefined, dtype: "float32" }],
    nodes: [
      node("Expand", ["x", "first"], "h0"),
      node("Expand", ["x", "second"], "w"),
      ...Array.from({ length: CHAINED }, (_, i) => node(op, [`h${i}`, "w"], `h${i + 1}`, attributes)),
      node("ReduceMean", [`h${CHAINED}`], "y"),
    ],
    constants: [shape("first", first), shape("second", second)],
  });
}

/** Prints the fastest of three runs after a first one of each model, in ms. In a process of its own: a broken driver can end it. */
const child = `
const [, runtime, device, threads, ...models] = process.argv;
const { InferenceSession, Tensor } = require(runtime);
(async () => {
  const found = [];
  for (const model of models) {
    const session = await InferenceSession.create(Buffer.from(model, "base64"), {
      executionProviders: [device], intraOpNumThreads: Number(threads), logSeverityLevel: 4,
    });
    let best = Infinity;
    for (let i = 0; i < 4; i++) {
      const began = performance.now();
      await session.run({ x: new Tensor("float32", Float32Array.of(0.001), []) });
      if (i > 0) best = Math.min(best, performance.now() - began);
    }
    found.push(best);
  }
  console.log("ms " + found.join(" "));
})().catch(() => {}).finally(() => process.exit());
`;

/** How long each model takes on the device; undefined where it does not answer within 20 s. */
function millisecondsOf(device: string, models: Uint8Array[], { threads, signal }: Where): Promise<number[] | undefined> {
  const runtime = createRequire(import.meta.url).resolve("onnxruntime-node");
  const words = ["-e", child, runtime, device, String(threads), ...models.map((model) => Buffer.from(model).toString("base64"))];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, words, { signal, timeout: 20_000, killSignal: "SIGKILL" }, (_, stdout) => {
      if (signal.aborted) return reject(signal.reason);
      const [, ms] = /^ms (.+)$/m.exec(stdout) ?? [];
      resolve(ms?.split(" ").map(Number));
    });
  });
}
