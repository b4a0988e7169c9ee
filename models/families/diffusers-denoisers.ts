/** What the denoisers among diffusers' transformers, and those among its U-Nets, have in common: their parts, and their trunks. */
import type { PublishedDenoiser } from "../published/network.ts";
import { mapTrunk, mapTrunkLimits, type TrunkLevel } from "./map-trunk.ts";
import { tokenTrunk, tokenTrunkLimits } from "./token-trunk.ts";

/** What of a denoiser follows from how its network is built, whatever it is conditioned on. */
type Built = Pick<PublishedDenoiser, "call" | "features" | "groups" | "trunk" | "trunkLimits">;

const single = String.raw`^single_transformer_blocks\.\d+\.proj_out\.`;

/** Parts of the transformers as patterns over our names; see Family.groups. */
const transformerGroups: Record<string, RegExp> = {
  attention: /\.attn\d?\./,
  mlp: new RegExp(String.raw`\.ff(_context)?\.|\.proj_mlp\.|${single}`),
  modulation: /\.norm1?(_context)?\.linear\.|^(norm_out|adaln_single\.linear|proj_out_1)\.|(^|\.)scale_shift_table$/,
  embedding: /^(pos_embed|x_embedder|context_embedder|caption_projection|time_text_embed|adaln_single\.emb)\.|\.norm1\.emb\./,
  output: /^proj_out(_2)?\./,
  qkv: /\.(to_[qkv]|add_[qkv]_proj)\./,
  bulk: new RegExp(String.raw`\.to_(add_)?out\.|\.ff(_context)?\.|\.proj_mlp\.|${single}|\.linear\.kernel$|^proj_out_1\.kernel$`),
};

/** Of a transformer with these blocks, `singles` of FLUX's after them. Its trunk may be cut after any. */
export function transformerBuilt(of: { width: number; patch: number; blocks: number; singles?: number; first?: string }): Built {
  const { width, patch, blocks: doubles, singles = 0, first = "pos_embed.proj.kernel" } = of;
  const named = (stem: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${stem}.${i}`);
  const blocks = [...named("transformer_blocks", doubles), ...named("single_transformer_blocks", singles)];
  const parts = { width, patch, first, patches: "patches", blocks, late: /^(norm_out|proj_out\w*|scale_shift_table)(\.|$)/ };
  return {
    call: "",
    features: blocks.slice(0, Math.ceil(doubles / 2)),
    groups: transformerGroups,
    // What a block makes of the text goes to the next one alone.
    trunk: ({ shape, ...options }) => tokenTrunk({ ...parts, shape, onward: /\.(ff_context|attn\.to_add_out)\./ }, options),
    trunkLimits: (shape) => tokenTrunkLimits({ shape, patch, depth: blocks.length }),
  };
}

/** Parts of the U-Nets as patterns over our names; see Family.groups. */
const unetGroups: Record<string, RegExp> = {
  attention: /\.attentions\.\d+\./,
  conv: /\.resnets\.\d+\.conv|samplers\.0\.|^conv_(in|out)\./,
  norm: /\bnorm\d?\.|group_norm\.|^conv_norm_out\./,
  modulation: /\.time_emb_proj\./,
  embedding: /^(time|class|add)_embedding\b|^encoder_hid_proj\./,
  qkv: /\.to_[qkv]\./,
  skip: /\.conv_shortcut\./,
  bulk: /\.resnets\.\d+\.conv[12]\.|\.to_out\.|\.ff\./,
};

/** A level of a U-Net, the finest first: channels, residual blocks on the way down, and whether attention follows each on the way up. */
interface UnetLevel {
  channels: number;
  layers: number;
  hasAttention: boolean;
}

/** Of a U-Net that takes `inputs` channels; `middles` are its residual blocks in the middle. Its trunk is always whole. */
export function unetBuilt({ inputs, levels, middles }: { inputs: number; levels: readonly UnetLevel[]; middles: number }): Built {
  const deepest = levels.length - 1;
  const places = levels.map(({ channels, layers, hasAttention }, level): TrunkLevel => {
    const up = `up_blocks.${deepest - level}`;
    const after = (layer: number): string => `${up}.${hasAttention ? "attentions" : "resnets"}.${layer}`;
    return {
      channels,
      before: after(layers - 1),
      joined: `${up}.resnets.${layers}.joined`,
      after: after(layers),
      ...(level > 0 && { down: `down_blocks.${level - 1}.downsamplers.0` }),
    };
  });
  const down = (level: number): string => `down_blocks.${level}.resnets.${(levels[level] as UnetLevel).layers - 1}`;
  const { channels } = levels[deepest] as UnetLevel;
  return {
    call: "",
    features: levels.map((_, level) => down(level)),
    groups: unetGroups,
    trunk: ({ scales }) =>
      mapTrunk(
        {
          inputs,
          width: (levels[0] as UnetLevel).channels,
          enter: "conv_in",
          first: "conv_in.kernel",
          levels: places,
          uses: (name) => !/^conv_(norm_)?out\./.test(name),
          core: {
            last: middles > 0 ? `mid_block.resnets.${middles - 1}` : down(deepest),
            channels,
            uses: (name) => !/^(up_blocks|conv_norm_out|conv_out)\./.test(name),
          },
        },
        { scales },
      ),
    trunkLimits: (shape) => mapTrunkLimits(levels.length, shape),
  };
}
