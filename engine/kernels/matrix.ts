/** Matrix products. */
import { translate } from "../backend.ts";
import type { Graph, Value } from "../graph.ts";
import { tf } from "../tfjs.ts";
import { reshape, transpose } from "./shape.ts";
import { elements } from "../weights.ts";

/**
 * a [m, k] times b [k, n], either given transposed: one Gemm, which transposes as it packs.
 *
 * Between threads ONNX Runtime divides the longer side of the result, and where that is its columns, their number decides
 * how it cuts a sum of more than 128 terms: the last bits would depend on the threads. There the transposed product is taken.
 */
export function gemm(graph: Graph, a: Value, b: Value, options: { transA?: boolean; transB?: boolean } = {}): Value {
  const { transA = false, transB = false } = options;
  const [m, k] = (transA ? [a.shape[1], a.shape[0]] : a.shape) as [number, number];
  const n = b.shape[transB ? 0 : 1] as number;
  if (graph.isPortable) return product(graph, a, b, [m, n], transA, transB);
  if (transA && !transB && n < NARROW && m > n) return turnedAlone(graph, product(graph, b, a, [n, m], true, false));
  if (transA || n <= m || k <= 128) return product(graph, a, b, [m, n], transA, transB);
  return turnedAlone(graph, product(graph, b, a, [n, m], !transB, true));
}

/** A matrix transposed. As one of a batch of one: ONNX Runtime would merge a plain transpose into the product and undo the exchange. */
function turnedAlone(graph: Graph, matrix: Value): Value {
  const [rows, columns] = matrix.shape as [number, number];
  return reshape(graph, turned(graph, reshape(graph, matrix, [1, rows, columns])), [columns, rows]);
}

/** ONNX Runtime computes sixteen columns at a time or more: with fewer, the product is taken the other way round. */
const NARROW = 16;

function product(graph: Graph, a: Value, b: Value, shape: number[], transA: boolean, transB: boolean): Value {
  if (!transA && !transB) return graph.add("MatMul", [a, b], shape, a.dtype);
  return graph.add("Gemm", [a, b], shape, a.dtype, { transA: transA ? 1 : 0, transB: transB ? 1 : 0 });
}

translate("BatchMatMul", (inputs, { transposeA, transposeB }, graph) => {
  const [a, b] = [inputs.a as Value, inputs.b as Value];
  const [transA, transB] = [Boolean(transposeA), Boolean(transposeB)];
  const m = a.shape.at(transA ? -1 : -2) as number;
  const n = b.shape.at(transB ? -2 : -1) as number;
  const batch = tf.broadcast_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const shape = [...batch, m, n];
  if (elements(batch) === 1) {
    const flat = (value: Value): Value => reshape(graph, value, value.shape.slice(-2));
    return reshape(graph, gemm(graph, flat(a), flat(b), { transA, transB }), shape);
  }
  const k = a.shape.at(transA ? -2 : -1) as number;
  // As in `gemm`: fewer matrices than threads are divided between them.
  if (graph.isPortable || transA || n <= m || k <= 128 || elements(batch) >= MANY) return batchProduct(graph, a, b, shape, transA, transB);
  return turned(graph, batchProduct(graph, b, a, [...batch, n, m], !transB, true));
});

/** Each matrix [..., m, n] transposed. */
function turned(graph: Graph, x: Value): Value {
  const rank = x.shape.length;
  return transpose(
    graph,
    x,
    x.shape.map((_, axis) => (axis < rank - 2 ? axis : axis === rank - 2 ? rank - 1 : rank - 2)),
  );
}

/** As many matrices as an engine may have threads. */
const MANY = 64;

/** Products of matrices a [..., m, k] and b [..., k, n], either given transposed. */
export function batchProduct(graph: Graph, a: Value, b: Value, shape: number[], transA: boolean, transB: boolean): Value {
  if (!transA && !transB) return graph.add("MatMul", [a, b], shape, a.dtype);
  if (!graph.fusesProducts) return batchProduct(graph, transA ? turned(graph, a) : a, transB ? turned(graph, b) : b, shape, false, false);
  return graph.add("FusedMatMul", [a, b], shape, a.dtype, { transA: transA ? 1 : 0, transB: transB ? 1 : 0 });
}
