/** What `engine.device: auto` stands for: the device that multiplies matrices fastest here, by trying. */
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { encodeModel } from "../../engine/onnx.ts";
import type { Context } from "../../schemas/events.ts";
import type { Settings } from "../../schemas/settings.ts";
import { hasCudaProvider } from "./versions.ts";

/** Settings with a device in the place of `auto`, which is reported with what was measured. */
export async function withDevice(settings: Settings, { report, signal }: Context): Promise<Settings> {
  if (settings.engine.device !== "auto") return settings;
  const candidates = ["cpu", "webgpu", ...(hasCudaProvider() ? ["cuda"] : [])] as ("cpu" | "webgpu" | "cuda")[];
  const { threads } = settings.engine;
  const measured: { device: (typeof candidates)[number]; ms: number }[] = [];
  for (const device of candidates) {
    const ms = await millisecondsOn(device, { threads, signal });
    if (ms !== undefined) measured.push({ device, ms });
  }
  measured.sort((a, b) => a.ms - b.ms);
  const device = measured[0]?.device ?? "cpu";
  const figures = measured.map(({ device: name, ms }) => `${name} ${ms.toFixed(1)} ms`).join(", ");
  report({
    type: "note",
    stage: "engine",
    message: `device "auto" is ${device} here (4.3 GFLOP of products: ${figures || "no device answered"})`,
  });
  return { ...settings, engine: { ...settings.engine, device } };
}

/** Eight products of [256, 1024] and [1024, 1024], made on the device of one number. */
const PRODUCTS = 8;
function model(): Uint8Array {
  const shape = (name: string, sizes: readonly number[]) => ({
    ...{ name, shape: [sizes.length], dtype: "int64" as const },
    data: BigInt64Array.from(sizes, BigInt),
  });
  const node = (op: string, inputs: string[], output: string) => ({ op, inputs, outputs: [output], attributes: {} });
  return encodeModel({
    inputs: [{ name: "x", shape: [], dtype: "float32" }],
    outputs: [{ name: "y", shape: undefined, dtype: "float32" }],
    nodes: [
      node("Expand", ["x", "rows"], "h0"),
      node("Expand", ["x", "square"], "w"),
      ...Array.from({ length: PRODUCTS }, (_, i) => node("MatMul", [`h${i}`, "w"], `h${i + 1}`)),
      node("ReduceMean", [`h${PRODUCTS}`], "y"),
    ],
    constants: [shape("rows", [256, 1024]), shape("square", [1024, 1024])],
  });
}

/** Prints the fastest of three runs after a first one, in ms. In a process of its own: a broken driver can end it. */
const child = `
const [, runtime, device, threads, model] = process.argv;
const { InferenceSession, Tensor } = require(runtime);
(async () => {
  const session = await InferenceSession.create(Buffer.from(model, "base64"), {
    executionProviders: [device], intraOpNumThreads: Number(threads), logSeverityLevel: 4,
  });
  let best = Infinity;
  for (let i = 0; i < 4; i++) {
    const began = performance.now();
    await session.run({ x: new Tensor("float32", Float32Array.of(0.001), []) });
    if (i > 0) best = Math.min(best, performance.now() - began);
  }
  console.log("ms " + best);
})().catch(() => {}).finally(() => process.exit());
`;

/** How long the products take on the device; undefined where it does not answer within 20 s. */
function millisecondsOn(device: string, { threads, signal }: { threads: number; signal: AbortSignal }): Promise<number | undefined> {
  const runtime = createRequire(import.meta.url).resolve("onnxruntime-node");
  const words = ["-e", child, runtime, device, String(threads), Buffer.from(model()).toString("base64")];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, words, { signal, timeout: 20_000, killSignal: "SIGKILL" }, (_, stdout) => {
      if (signal.aborted) return reject(signal.reason);
      const [, ms] = /^ms (\S+)$/m.exec(stdout) ?? [];
      resolve(ms === undefined ? undefined : Number(ms));
    });
  });
}
