/** The kernels that ops.ts adds to TensorFlow.js's. */
import { translate } from "../backend.ts";
import type { Value } from "../graph.ts";
import { LAYER_NORM } from "../ops.ts";

translate(LAYER_NORM, ({ x }, { epsilon }, graph) => {
  const { shape, dtype } = x as Value;
  const width = shape.at(-1) as number;
  const ones: Value = { shape: [width], dtype, constant: new Float32Array(width).fill(1) };
  const row = { shape: [...shape.slice(0, -1), 1], dtype };
  const attributes = { axis: -1, epsilon: { float: epsilon } };
  const [y, , inverse] = graph.addMany("LayerNormalization", [x as Value, ones], [{ shape, dtype }, row, row], attributes);
  return [y as Value, inverse as Value];
});
