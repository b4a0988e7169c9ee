/**
 * Names of FLUX's layers as the code of its makers has them, which kohya's LoRA files carry: what asks, answers and is answered lies in one
 * layer there, and in blocks of one stream the widening of the feed-forward with them.
 */

/** Layers of a block of two streams, by what follows "double_blocks.N." there and "transformer_blocks.N." here. */
const DOUBLE: Readonly<Record<string, readonly string[]>> = {
  "img_attn.qkv": ["attn.to_q", "attn.to_k", "attn.to_v"],
  "img_attn.proj": ["attn.to_out.0"],
  "img_mlp.0": ["ff.net.0.proj"],
  "img_mlp.2": ["ff.net.2"],
  "img_mod.lin": ["norm1.linear"],
  "txt_attn.qkv": ["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"],
  "txt_attn.proj": ["attn.to_add_out"],
  "txt_mlp.0": ["ff_context.net.0.proj"],
  "txt_mlp.2": ["ff_context.net.2"],
  "txt_mod.lin": ["norm1_context.linear"],
};

/** Of a block of one stream: "single_blocks.N." there, "single_transformer_blocks.N." here. */
const SINGLE: Readonly<Record<string, readonly string[]>> = {
  linear1: ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"],
  linear2: ["proj_out"],
  "modulation.lin": ["norm.linear"],
};

/** Layers outside of all blocks. */
const ALONE: Readonly<Record<string, string>> = { img_in: "x_embedder", txt_in: "context_embedder", "final_layer.linear": "proj_out" };

/** The makers' names of the layers of a FLUX with these, each with ours that its outputs are of, in their order; none of other networks. */
export function fluxNames(layers: readonly string[]): Map<string, readonly string[]> {
  const names = new Map<string, readonly string[]>();
  const numbersOf = (kind: string): Set<string> =>
    new Set(layers.flatMap((layer) => new RegExp(`^${kind}\\.(\\d+)\\.`).exec(layer)?.[1] ?? []));
  const singles = numbersOf("single_transformer_blocks");
  if (singles.size === 0) return names;
  for (const [theirs, ours] of Object.entries(ALONE)) names.set(theirs, [ours]);
  for (const [table, kind, own, numbers] of [
    [DOUBLE, "double_blocks", "transformer_blocks", numbersOf("transformer_blocks")],
    [SINGLE, "single_blocks", "single_transformer_blocks", singles],
  ] as const)
    for (const number of numbers)
      for (const [theirs, ours] of Object.entries(table))
        names.set(
          `${kind}.${number}.${theirs}`,
          ours.map((layer) => `${own}.${number}.${layer}`),
        );
  return names;
}
