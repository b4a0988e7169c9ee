/** How much memory a program will take, before anything of it is made, and how much there is. */
import { freemem, totalmem } from "node:os";
import type { Node } from "./graph.ts";

/** What a program with large frozen weights keeps in memory while it runs, in bytes. */
export interface Footprint {
  /** Frozen weights, as they lie in their files or as float32 where they are inputs. */
  weights: number;
  /** Room for what the program computes, widened weights included. */
  computed: number;
}

/**
 * Room for each byte that is computed and there at one time: ONNX Runtime's arena grows by doubling and does not fill its
 * blocks (a U-Net of 888 million weights: 0.40 GB of values in 0.95 GB, packed operands included).
 */
const ROOM = 2.4;

/** The footprint of a program with `weights` bytes of frozen weights; the rest as in {@link peakBytes}. */
export function footprintOf(nodes: readonly Node[], options: Parameters<typeof peakBytes>[1] & { weights: number }): Footprint {
  return { weights: options.weights, computed: ROOM * peakBytes(nodes, options) };
}

/**
 * The most bytes of computed values that a run of the nodes holds at one time, by the order in which ONNX Runtime runs them:
 * depth first from the outputs, of what a node reads the latest node first. A value goes after its last reader.
 * `bytesOf` gives a value's size, `outputs` what must stay.
 */
export function peakBytes(nodes: readonly Node[], options: { outputs: readonly string[]; bytesOf: (name: string) => number }): number {
  const { outputs, bytesOf } = options;
  const producer = new Map(nodes.flatMap((node, i) => node.outputs.map((output) => [output, i] as const)));
  // A reshaped value is the same memory under another name.
  const owner = new Map<string, string>();
  for (const { op, inputs, outputs } of nodes) {
    const from = inputs[0] as string;
    if (op === "Reshape" && producer.has(from)) owner.set(outputs[0] as string, owner.get(from) ?? from);
  }
  const memoryOf = (name: string): string => owner.get(name) ?? name;

  const order = runOrder(nodes, producer, outputs);
  const readers = new Map<string, number>(outputs.map((name) => [memoryOf(name), 1]));
  for (const node of order) for (const input of node.inputs) readers.set(memoryOf(input), (readers.get(memoryOf(input)) ?? 0) + 1);
  let [live, peak] = [0, 0];
  for (const node of order) {
    const made = node.outputs.filter((output) => !owner.has(output));
    for (const output of made) live += bytesOf(output);
    peak = Math.max(peak, live);
    for (const input of node.inputs) {
      const name = memoryOf(input);
      const left = (readers.get(name) as number) - 1;
      readers.set(name, left);
      if (left === 0 && producer.has(name)) live -= bytesOf(name);
    }
    for (const output of made) if (!readers.has(output)) live -= bytesOf(output);
  }
  return peak;
}

/** The nodes in the order of ONNX Runtime's default executor. */
function runOrder(nodes: readonly Node[], producer: ReadonlyMap<string, number>, outputs: readonly string[]): Node[] {
  const order: Node[] = [];
  const seen = new Set<number>();
  const indicesOf = (names: readonly string[]): number[] => names.flatMap((name) => producer.get(name) ?? []);
  const stack = indicesOf(outputs).map((index) => ({ index, isDone: false }));
  for (let top = stack.pop(); top; top = stack.pop()) {
    const { index, isDone } = top;
    const node = nodes[index] as Node;
    if (isDone) order.push(node);
    if (isDone || seen.has(index)) continue;
    seen.add(index);
    stack.push({ index, isDone: true });
    for (const input of indicesOf(node.inputs).sort((a, b) => a - b)) if (!seen.has(input)) stack.push({ index: input, isDone: false });
  }
  return order;
}

/**
 * The bytes of memory that this process may still take: what the system has, and what the limits of its group leave.
 *
 * @example
 * import { availableMemory } from "./footprint.ts";
 * assert.ok(availableMemory() > 0);
 */
export function availableMemory(): number {
  // On Linux this counts what the page cache would give back; elsewhere it does not, and says nothing.
  const system = process.platform === "linux" ? freemem() : totalmem();
  const limit = process.constrainedMemory?.() ?? 0; // 0: unknown
  return limit > 0 ? Math.min(system, Math.max(0, limit - process.memoryUsage.rss())) : system;
}

/** Throws an Error that says how much memory the program would take where that is more than `available` bytes. */
export function checkFootprint(program: string, { weights, computed }: Footprint, available: number): void {
  if (weights + computed <= available) return;
  const gb = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
  throw new Error(
    `Cannot compile program "${program}": it would take about ${gb(weights + computed)} of memory, ${gb(weights)} for frozen weights and ` +
      `${gb(computed)} for what it computes, and ${gb(available)} are available. Free some, compute less at once, or use a larger machine.`,
  );
}
