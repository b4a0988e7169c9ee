/**
 * Names of a U-Net's layers as Stability's own code has them (sgm, and latent-diffusion before), which checkpoints in one file and
 * LoRA files of SDXL carry: one list of blocks on the way down, where a level's halving counts as a block, and one on the way up.
 */
import { countOf, type NameTable, renamed } from "./name-table.ts";

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

/** Of what blocks a network is, with equally many on each level. */
interface Layout {
  levels: number;
  /** Residual blocks of a level on the way down; it has one more on the way up. */
  count: number;
  /** Whether there is attention on the way up, where level 0 is the coarsest. */
  attendsUp: (level: number) => boolean;
}

/** Diffusers' names of layers, or what they begin with, and sgm's of the network whose layers or parameters have these names, of either. */
export function sgmTable(names: readonly string[]): NameTable {
  const { levels, count, attendsUp } = layoutOf(names);
  const table = new Map(Object.entries(ALONE));
  const residual = (ours: string, theirs: string): void => {
    for (const [layer, name] of Object.entries(RESNET)) table.set(`${ours}.${layer}`, `${theirs}.${name}`);
  };
  for (let level = 0; level < levels; level++) {
    const first = level * (count + 1);
    const [down, up] = [`down_blocks.${level}`, `up_blocks.${level}`];
    for (let index = 0; index < count; index++) {
      residual(`${down}.resnets.${index}`, `input_blocks.${first + index + 1}.0`);
      table.set(`${down}.attentions.${index}`, `input_blocks.${first + index + 1}.1`);
    }
    table.set(`${down}.downsamplers.0.conv`, `input_blocks.${first + count + 1}.0.op`);
    for (let index = 0; index <= count; index++) {
      residual(`${up}.resnets.${index}`, `output_blocks.${first + index}.0`);
      if (attendsUp(level)) table.set(`${up}.attentions.${index}`, `output_blocks.${first + index}.1`);
    }
    table.set(`${up}.upsamplers.0`, `output_blocks.${first + count}.${attendsUp(level) ? 2 : 1}`);
  }
  for (const index of [0, 1]) residual(`mid_block.resnets.${index}`, `middle_block.${2 * index}`);
  return table.set("mid_block.attentions.0", "middle_block.1");
}

function layoutOf(names: readonly string[]): Layout {
  const all = new Set(names.map((name) => /^(?:\w+_blocks\.\d+\.[a-z]+|output_blocks\.\d+\.1\.[a-z_]+)/.exec(name)?.[0]));
  const levels = countOf(names, /^down_blocks\.(\d+)\./);
  if (levels > 0) {
    const count = countOf(names, /^down_blocks\.0\.resnets\.(\d+)\./);
    return { levels, count, attendsUp: (level) => all.has(`up_blocks.${level}.attentions`) };
  }
  const halvings = names.flatMap((name) => /^input_blocks\.(\d+)\.0\.op\./.exec(name)?.[1] ?? []).map(Number);
  const count = halvings.length > 0 ? Math.min(...halvings) - 1 : countOf(names, /^input_blocks\.(\d+)\./) - 1;
  return {
    levels: new Set(halvings).size + 1,
    count,
    attendsUp: (level) => all.has(`output_blocks.${level * (count + 1)}.1.transformer_blocks`),
  };
}

/** What diffusers' layers are called there, of a network with all these layers and equally many residual blocks on each level. */
export function sgmNames(layers: readonly string[]): Map<string, string> {
  const table = sgmTable(layers);
  return new Map(
    layers.flatMap((layer) => {
      const name = renamed(layer, table);
      return name === undefined ? [] : [[layer, name]];
    }),
  );
}
