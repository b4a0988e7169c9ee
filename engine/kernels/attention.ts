/** Attention as one operator, of devices that have it. */
import { translate } from "../backend.ts";
import type { Value } from "../graph.ts";
import { ATTENTION } from "../ops.ts";

translate(ATTENTION, ({ q, k, v }, { heads }, graph) => {
  const { shape, dtype } = q as Value;
  return graph.add("MultiHeadAttention", [q as Value, k as Value, v as Value], shape, dtype, { num_heads: heads });
});
