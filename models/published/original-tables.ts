/**
 * Names of the parts of Stable Diffusion in diffusers' and transformers' layout, and in the layout of the code that they were trained
 * with: latent-diffusion's autoencoder, and OpenCLIP's text encoder with its fused projections of queries, keys and values.
 */
import { countOf, type NameTable } from "./name-table.ts";

/** What an autoencoder's parameters are called in latent-diffusion; `names` are its own, of either layout. */
export function vaeTable(names: readonly string[]): NameTable {
  const levels = countOf(names, /^encoder\.down(?:_blocks)?\.(\d+)\./);
  const table = new Map(["quant_conv", "post_quant_conv"].map((name) => [name, name]));
  for (const half of ["encoder", "decoder"]) {
    table.set(`${half}.conv_in`, `${half}.conv_in`).set(`${half}.conv_out`, `${half}.conv_out`);
    table.set(`${half}.conv_norm_out`, `${half}.norm_out`);
    const residual = (ours: string, theirs: string): void => {
      for (const layer of ["norm1", "conv1", "norm2", "conv2"]) table.set(`${half}.${ours}.${layer}`, `${half}.${theirs}.${layer}`);
      table.set(`${half}.${ours}.conv_shortcut`, `${half}.${theirs}.nin_shortcut`);
    };
    for (const index of [0, 1]) residual(`mid_block.resnets.${index}`, `mid.block_${index + 1}`);
    for (const [layer, name] of Object.entries(VAE_ATTENTION))
      table.set(`${half}.mid_block.attentions.0.${layer}`, `${half}.mid.attn_1.${name}`);
    const [way, blocks, resampling, ours] =
      half === "encoder"
        ? (["down", "down_blocks", "downsample", "downsamplers.0"] as const)
        : (["up", "up_blocks", "upsample", "upsamplers.0"] as const);
    const layers = countOf(names, half === "encoder" ? /^encoder\.down(?:_blocks)?\.0\.(?:block|resnets)\.(\d+)\./ : UP_LAYERS);
    for (let level = 0; level < levels; level++) {
      const there = `${way}.${half === "encoder" ? level : levels - 1 - level}`; // on the way up they count from the finest
      for (let index = 0; index < layers; index++) residual(`${blocks}.${level}.resnets.${index}`, `${there}.block.${index}`);
      table.set(`${half}.${blocks}.${level}.${ours}.conv`, `${half}.${there}.${resampling}.conv`);
    }
  }
  return table;
}

const UP_LAYERS = /^decoder\.up(?:_blocks)?\.0\.(?:block|resnets)\.(\d+)\./;

const VAE_ATTENTION: Readonly<Record<string, string>> = {
  group_norm: "norm",
  to_q: "q",
  to_k: "k",
  to_v: "v",
  "to_out.0": "proj_out",
};

/** Transformers' text encoder in a file: whole, under its own names, those before transformers 4 among them. */
export const clipTable: NameTable = new Map(
  ["text_model", "embeddings", "encoder", "final_layer_norm"].map((name) => [name, name] as const),
);

/** What the parameters of a text encoder are called in OpenCLIP; `names` are its own, of either layout. */
export function openClipTable(names: readonly string[]): NameTable {
  const table = new Map([
    ["text_model.embeddings.token_embedding", "token_embedding"],
    ["text_model.embeddings.position_embedding.weight", "positional_embedding"],
    ["text_model.final_layer_norm", "ln_final"],
    ["text_projection.weight", "text_projection"],
  ]);
  const layers = countOf(names, /^(?:transformer\.resblocks|text_model\.encoder\.layers)\.(\d+)\./);
  for (let index = 0; index < layers; index++) {
    const [ours, theirs] = [`text_model.encoder.layers.${index}`, `transformer.resblocks.${index}`];
    for (const kind of ["q", "k", "v"]) {
      for (const value of ["weight", "bias"]) table.set(`${ours}.self_attn.${kind}_proj.${value}`, `${theirs}.attn.in_proj_${value}`);
    }
    for (const [layer, name] of Object.entries(OPEN_CLIP_LAYERS)) table.set(`${ours}.${layer}`, `${theirs}.${name}`);
  }
  return table;
}

const OPEN_CLIP_LAYERS: Readonly<Record<string, string>> = {
  "self_attn.out_proj": "attn.out_proj",
  layer_norm1: "ln_1",
  layer_norm2: "ln_2",
  "mlp.fc1": "mlp.c_fc",
  "mlp.fc2": "mlp.c_proj",
};
