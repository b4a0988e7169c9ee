/**
 * Names of a U-Net's layers as Stability's own code has them (sgm, and latent-diffusion before), which LoRA files of SDXL carry:
 * one list of blocks on the way down, where a level's halving counts as a block, and one on the way up.
 */

/** Layers of a residual block. */
const RESNET: Readonly<Record<string, string>> = {
  norm1: "in_layers.0",
  conv1: "in_layers.2",
  time_emb_proj: "emb_layers.1",
  norm2: "out_layers.0",
  conv2: "out_layers.3",
  conv_shortcut: "skip_connection",
};

/** Layers outside of all blocks. */
const ALONE: Readonly<Record<string, string>> = {
  conv_in: "input_blocks.0.0",
  "time_embedding.linear_1": "time_embed.0",
  "time_embedding.linear_2": "time_embed.2",
  "add_embedding.linear_1": "label_emb.0.0",
  "add_embedding.linear_2": "label_emb.0.2",
  conv_norm_out: "out.0",
  conv_out: "out.2",
};

/** What diffusers' layers are called there, of a network with all these layers and equally many residual blocks on each level. */
export function sgmNames(layers: readonly string[]): Map<string, string> {
  const all = new Set(layers.map((layer) => /^(\w+_blocks\.\d+\.[a-z]+\.\d+)/.exec(layer)?.[1]));
  let count = 0;
  while (all.has(`down_blocks.0.resnets.${count}`)) count++;
  const names = layers.map((layer) => {
    const [, way, level = "0", kind, index = "0", rest = ""] =
      /^(down_blocks|mid_block|up_blocks)(?:\.(\d+))?\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)$/.exec(layer) ?? [];
    if (way === undefined || kind === undefined) return [layer, ALONE[layer]] as const;
    const inner = kind === "resnets" ? (RESNET[rest] ?? rest) : kind === "downsamplers" ? "op" : rest;
    const first = Number(level) * (count + 1);
    const hasAttention = all.has(`${way}.${level}.attentions.0`);
    const places: Readonly<Record<string, string>> = {
      "down_blocks.resnets": `input_blocks.${first + Number(index) + 1}.0`,
      "down_blocks.attentions": `input_blocks.${first + Number(index) + 1}.1`,
      "down_blocks.downsamplers": `input_blocks.${first + count + 1}.0`,
      "mid_block.resnets": `middle_block.${2 * Number(index)}`,
      "mid_block.attentions": "middle_block.1",
      "up_blocks.resnets": `output_blocks.${first + Number(index)}.0`,
      "up_blocks.attentions": `output_blocks.${first + Number(index)}.1`,
      "up_blocks.upsamplers": `output_blocks.${first + count}.${hasAttention ? 2 : 1}`,
    };
    return [layer, `${places[`${way}.${kind}`]}.${inner}`] as const;
  });
  return new Map(names.flatMap(([layer, name]) => (name === undefined ? [] : [[layer, name]])));
}
