/** What one run of a traced program costs: arithmetic, memory traffic, and the room for what it computes. */
import { peakBytes } from "./footprint.ts";
import type { Graph, Node, Value } from "./graph.ts";
import { elements } from "./weights.ts";

/** One run of a program. */
export interface Cost {
  program: string;
  nodes: number;
  /** Multiplications and additions of matrix products and of convolutions. */
  products: number;
  convolutions: number;
  /** Bytes that its nodes read and write. */
  moved: number;
  /** The most bytes of computed values that are there at one time. */
  peak: number;
}

const BYTES: Record<Value["dtype"], number> = { float32: 4, int32: 4, bool: 1, int64: 8 };

/** Names for memory that is there already: nothing moves. */
const VIEWS: ReadonlySet<string> = new Set(["Reshape", "Identity"]);

/** The cost of a run of `nodes` in their order; `outputs` are the names of what must stay. */
export function costOf(
  nodes: readonly Node[],
  { program, graph, outputs }: { program: string; graph: Pick<Graph, "producer" | "bytesOf">; outputs: readonly string[] },
): Cost {
  const cost: Cost = { program, nodes: nodes.length, products: 0, convolutions: 0, moved: 0, peak: 0 };
  for (const node of nodes) {
    const output = node.outputs[0] as string;
    const operands = (graph.producer(output)?.inputs ?? []).filter((input): input is Value => typeof input !== "string");
    const made = node.outputs.reduce((sum, name) => sum + graph.bytesOf(name), 0);
    if (!VIEWS.has(node.op)) cost.moved += made + operands.reduce((sum, { shape, dtype }) => sum + elements(shape) * BYTES[dtype], 0);
    const work = workOf(
      node,
      operands.map(({ shape }) => shape),
      made / BYTES.float32,
    );
    if (/Conv/.test(node.op)) cost.convolutions += work;
    else cost.products += work;
  }
  cost.peak = peakBytes(nodes, { outputs, bytesOf: graph.bytesOf });
  return cost;
}

/** Multiplications and additions of a node that makes `made` elements; only those of products and convolutions are counted. */
function workOf({ op, attributes }: Node, [a = [], b = []]: number[][], made: number): number {
  if (op === "MatMul") return 2 * made * (a.at(-1) as number);
  if (op === "Gemm" || op === "FusedMatMul") return 2 * made * (a.at(attributes.transA === 1 ? -2 : -1) as number);
  if (op === "Conv") return 2 * made * elements(b.slice(1)); // kernels [out, in / groups, height, width]
  if (op === "ConvTranspose") return 2 * elements(a) * elements(b.slice(1)); // kernels [in, out / groups, height, width]
  return 0;
}
