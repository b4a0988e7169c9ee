/**
 * Which kernels of TensorFlow.js a compiled program may contain, from tfjs-core's own registry: every specimen is recorded
 * with its first and second gradient, and the kernels it emits are noted. `npx tsx test/engine/coverage.ts` writes the
 * table into engine/README.md.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { placeholder, record, translated } from "../../engine/backend.ts";
import "../../engine/trace.ts";
import { tf, type Tensor, type Scalar } from "../../engine/tfjs.ts";
import { createDraw } from "./draw.ts";
import { specimens } from "./specimens.ts";

/** Kernels with a gradient that no program may contain, and why. */
export const REFUSED: Record<string, string> = {
  ComplexAbs: "complex64 has no form in a compiled program",
  BroadcastTo: "never emitted: `tf.broadcastTo` emits Tile",
  LogSoftmax: "never emitted: `tf.logSoftmax` emits its parts",
};

export interface Coverage {
  /** Kernels emitted by some specimen itself, by its gradient, by its second gradient. */
  emitted: [Set<string>, Set<string>, Set<string>];
  /** All kernel names of tfjs-core, and those for which a gradient is registered, here or there. */
  kernels: string[];
  differentiable: string[];
}

/** Draws a specimen gets: some emit other kernels by their shapes and choices. */
const DRAWS = 4;

/** The kernels that `body` runs. */
function spied(body: () => void): Set<string> {
  const engine = tf.engine() as unknown as { runKernel: (name: string, ...rest: unknown[]) => unknown };
  const seen = new Set<string>();
  const { runKernel } = engine;
  engine.runKernel = (name, ...rest) => {
    seen.add(name);
    return runKernel.call(engine, name, ...rest);
  };
  try {
    body();
  } finally {
    engine.runKernel = runKernel;
  }
  return seen;
}

/** Records every specimen, its gradient and its second gradient; throws where one of them has no translation. */
export function measure(): Coverage {
  const emitted: Coverage["emitted"] = [new Set(), new Set(), new Set()];
  for (const [kernel, make] of Object.entries(specimens)) {
    for (let seed = 0; seed < DRAWS; seed++) {
      const { shapes, body, gradient = true } = make(createDraw(seed, kernel));
      const loss = (...t: Tensor[]): Scalar => tf.sum(tf.square(body(...t)));
      const slopes = tf.grads(loss);
      const size = (...t: Tensor[]): Scalar => tf.addN(slopes(t).map((g) => tf.sum(tf.square(g)))) as Scalar;
      const orders = [body, ...(gradient ? [(...t: Tensor[]) => slopes(t), (...t: Tensor[]) => tf.grads(size)(t)] : [])];
      for (const [order, run] of orders.entries()) {
        record(`${kernel}, order ${order}`, () => {
          const tensors = shapes.map((shape, i) => placeholder(`x${i}`, shape, "float32"));
          for (const name of spied(() => run(...tensors))) emitted[order]?.add(name);
        });
      }
    }
  }
  const names = (Object.values(tf) as unknown[]).filter((value) => typeof value === "string" && /^_?[A-Z]/.test(value)) as string[];
  const kernels = [...new Set(names)].sort();
  return { emitted, kernels, differentiable: kernels.filter((name) => tf.getGradient(name)) };
}

/** The kernels in their classes, as a Markdown table. */
export function tableOf({ emitted, kernels, differentiable }: Coverage): string {
  const own = (name: string): boolean => name in specimens;
  const smooth = (name: string): boolean =>
    own(name) &&
    Array.from({ length: DRAWS }, (_, seed) => specimens[name]?.(createDraw(seed, name)).gradient).some((has) => has !== false);
  const reached = (name: string): boolean => emitted.some((names) => names.has(name));
  const list = (names: string[]): string => [...names].sort().join(", ");
  const row = (title: string, names: string[]): string => `| ${title} (${names.length}) | ${list(names)} |`;
  const left = kernels.filter((name) => !translated.has(name) && !differentiable.includes(name));
  const isGradient = (name: string): boolean => /Grad$|Backprop/.test(name);
  const refused = differentiable.filter((name) => !reached(name));
  const reasons = refused.map((name) => `${name}: ${REFUSED[name] ?? "UNEXPLAINED"}`);
  return [
    "| | Kernels |",
    "|---|---|",
    row("Values, first and second gradients", differentiable.filter(smooth)),
    row(
      "Emitted by gradients alone, differentiable themselves",
      differentiable.filter((name) => reached(name) && !own(name)),
    ),
    row(
      "Values in steps: the gradient is zero, that of Cast passes through",
      differentiable.filter((name) => own(name) && !smooth(name)),
    ),
    row(
      "Values; without a gradient in TensorFlow.js",
      kernels.filter((name) => reached(name) && !differentiable.includes(name)),
    ),
    `| Not covered, of those with a gradient (${refused.length}) | ${reasons.join("; ")} |`,
    row(
      "Not covered, without a gradient in TensorFlow.js",
      left.filter((name) => !isGradient(name)),
    ),
    row("TensorFlow.js's gradient kernels that are replaced by forms with a derivative", left.filter(isGradient)),
  ].join("\n");
}

const README = fileURLToPath(new URL("../../engine/README.md", import.meta.url));
const TABLE = /(<!-- coverage -->\n)([\s\S]*?)(\n<!-- \/coverage -->)/;

/** The table that engine/README.md prints. */
export const printed = (): string => TABLE.exec(readFileSync(README, "utf8"))?.[2] ?? "";

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const table = tableOf(measure());
  writeFileSync(
    README,
    readFileSync(README, "utf8").replace(TABLE, (_, open, _old, close) => `${open}${table}${close}`),
  );
}
