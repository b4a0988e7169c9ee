/**
 * The configs of Stable Diffusion's parts, which checkpoints in one file lack: what weights show is read from their shapes, all else
 * is as published. Weights show neither how many heads share a width nor how many groups a norm has nor which activation follows,
 * and not at all what the U-Net predicts.
 */
import type { Shapes } from "../../engine/weights.ts";
import { Failure } from "../../schemas/failure.ts";
import { countOf } from "./name-table.ts";
import type { OriginalKind, OriginalPart } from "./original-names.ts";

/** What the U-Net was trained to predict. */
export type Prediction = "epsilon" | "v_prediction";

interface Facts {
  kind: OriginalKind;
  /** By part, in diffusers' layout. */
  shapes: Partial<Record<OriginalPart, Shapes>>;
  prediction: Prediction | undefined;
  /** Names the file in errors. */
  file: string;
}

/** The config.json of each part, by its name. Throws a Failure where the layers of a file are not those of its kind. */
export function originalConfigs(facts: Facts): Partial<Record<OriginalPart, Record<string, unknown>>> {
  const { kind, shapes } = facts;
  return Object.fromEntries(
    (Object.keys(shapes) as OriginalPart[]).map((part) => {
      if (part === "unet") return [part, unetConfig(facts)];
      return [part, part === "vae" ? vaeConfig(facts) : textConfig(facts, part, kind === "sd2" || part === "text_encoder_2")];
    }),
  );
}

/**
 * The scheduler_config.json that a kind was published with. SDXL's base and SD 1 predict the noise; of SD 2 both were published, so
 * the caller says which. Throws a Failure where nobody did.
 */
export function originalSchedule(kind: OriginalKind, prediction: Prediction | undefined, file: string): Record<string, unknown> {
  const predicted = prediction ?? (kind === "sd2" ? undefined : "epsilon");
  if (predicted === undefined)
    throw new Failure(
      `Cannot tell what the U-Net of ${file} predicts: no weight shows it. Say "epsilon" (of 512 pixels, as 2-base) or ` +
        '"v_prediction" (of 768).',
    );
  return {
    _class_name: SCHEDULERS[kind],
    beta_end: 0.012,
    beta_schedule: "scaled_linear",
    beta_start: 0.00085,
    clip_sample: false,
    num_train_timesteps: 1000,
    prediction_type: predicted,
    set_alpha_to_one: false,
    skip_prk_steps: true,
    steps_offset: 1,
    trained_betas: null,
    ...(kind === "sdxl" && { interpolation_type: "linear", timestep_spacing: "leading", use_karras_sigmas: false }),
  };
}

/** The model_index.json that a kind was published with. */
export function originalIndex(kind: OriginalKind): Record<string, unknown> {
  const common = {
    feature_extractor: [null, null],
    image_encoder: [null, null],
    scheduler: ["diffusers", SCHEDULERS[kind]],
    text_encoder: ["transformers", "CLIPTextModel"],
    tokenizer: ["transformers", "CLIPTokenizer"],
    unet: ["diffusers", "UNet2DConditionModel"],
    vae: ["diffusers", "AutoencoderKL"],
  };
  if (kind !== "sdxl")
    return { _class_name: "StableDiffusionPipeline", ...common, requires_safety_checker: false, safety_checker: [null, null] };
  return {
    _class_name: "StableDiffusionXLPipeline",
    ...common,
    force_zeros_for_empty_prompt: true,
    text_encoder_2: ["transformers", "CLIPTextModelWithProjection"],
    tokenizer_2: ["transformers", "CLIPTokenizer"],
  };
}

export const SCHEDULERS = { sd1: "PNDMScheduler", sd2: "DDIMScheduler", sdxl: "EulerDiscreteScheduler" } as const;

function unetConfig({ kind, shapes, prediction, file }: Facts): Record<string, unknown> {
  const own = shapes.unet ?? {};
  const names = Object.keys(own);
  const levels = range(countOf(names, /^down_blocks\.(\d+)\./));
  const channels = levels.map((level) => side(own, `down_blocks.${level}.resnets.0.conv2.weight`, 0, file));
  const depths = levels.map((level) => countOf(names, blocksOf(`down_blocks.${level}.attentions.0`)));
  for (const place of new Set(names.flatMap((name) => ATTENTION.exec(name)?.[1] ?? []))) {
    const [way = "", level] = place.split(".");
    const expected = depths.at(way === "down_blocks" ? Number(level) : way === "up_blocks" ? -1 - Number(level) : -1);
    const found = countOf(names, blocksOf(place));
    // The coarsest level of SD 1 and 2 has none, and the middle has one.
    if (found !== expected && !(way === "mid_block" && expected === 0 && found === 1))
      throw new Failure(
        `Cannot use ${file} as Stable Diffusion in one file: ${place} has ${found} transformer blocks instead of ${expected}. ` +
          "Use its folder in diffusers' layout.",
      );
  }
  const attends = depths.map((depth) => depth > 0);
  const cross = names.find((name) => name.endsWith("attn2.to_k.weight")) ?? "attn2.to_k.weight";
  const proj = names.find((name) => name.endsWith("proj_in.weight")) ?? "proj_in.weight";
  const added = own["add_embedding.linear_1.weight"]?.shape[1];
  const pooled = shapes.text_encoder_2?.["text_projection.weight"]?.shape[0] ?? 0;
  const size = { sd1: 64, sd2: { epsilon: 64, v_prediction: 96 }[prediction ?? "epsilon"], sdxl: 128 }[kind];
  return {
    _class_name: "UNet2DConditionModel",
    act_fn: "silu",
    attention_head_dim: kind === "sd1" ? 8 : channels.map((width) => width / HEAD),
    block_out_channels: channels,
    center_input_sample: false,
    cross_attention_dim: side(own, cross, 1, file),
    down_block_types: attends.map((does) => (does ? "CrossAttnDownBlock2D" : "DownBlock2D")),
    downsample_padding: 1,
    flip_sin_to_cos: true,
    freq_shift: 0,
    in_channels: side(own, "conv_in.weight", 1, file),
    layers_per_block: countOf(names, /^down_blocks\.0\.resnets\.(\d+)\./),
    mid_block_scale_factor: 1,
    norm_eps: 1e-5,
    norm_num_groups: 32,
    out_channels: side(own, "conv_out.weight", 0, file),
    ...((kind !== "sd2" || prediction !== undefined) && { sample_size: size }),
    transformer_layers_per_block: depths.every((depth) => depth <= 1) ? 1 : depths.map((depth) => Math.max(depth, 1)),
    up_block_types: attends.toReversed().map((does) => (does ? "CrossAttnUpBlock2D" : "UpBlock2D")),
    use_linear_projection: own[proj]?.shape.length === 2,
    ...(added !== undefined && {
      addition_embed_type: "text_time",
      addition_time_embed_dim: (added - pooled) / SIZES,
      projection_class_embeddings_input_dim: added,
    }),
  };
}

/** Width of a head, but for SD 1's U-Net, which has 8 of any width. */
const HEAD = 64;

/** Numbers that SDXL's base is told: size, crop and target, two of each. */
const SIZES = 6;

const ATTENTION = /^((?:down_blocks\.\d+|up_blocks\.\d+|mid_block)\.attentions\.\d+)\./;
const blocksOf = (place: string) => new RegExp(`^${place.replaceAll(".", "\\.")}\\.transformer_blocks\\.(\\d+)\\.`);

function vaeConfig({ kind, shapes: { vae: own = {} }, file }: Facts): Record<string, unknown> {
  const names = Object.keys(own);
  const levels = range(countOf(names, /^encoder\.down_blocks\.(\d+)\./));
  return {
    _class_name: "AutoencoderKL",
    act_fn: "silu",
    block_out_channels: levels.map((level) => side(own, `encoder.down_blocks.${level}.resnets.0.conv2.weight`, 0, file)),
    down_block_types: levels.map(() => "DownEncoderBlock2D"),
    force_upcast: true,
    in_channels: side(own, "encoder.conv_in.weight", 1, file),
    latent_channels: side(own, "post_quant_conv.weight", 0, file),
    layers_per_block: countOf(names, /^encoder\.down_blocks\.0\.resnets\.(\d+)\./),
    norm_num_groups: 32,
    out_channels: side(own, "decoder.conv_out.weight", 0, file),
    sample_size: { sd1: 512, sd2: 768, sdxl: 1024 }[kind],
    scaling_factor: kind === "sdxl" ? 0.13025 : 0.18215,
    up_block_types: levels.map(() => "UpDecoderBlock2D"),
  };
}

/** Of CLIP's own encoder, whose activation is its quick GELU, or of OpenCLIP's. */
function textConfig({ shapes, file }: Facts, part: OriginalPart, isOpen: boolean): Record<string, unknown> {
  const own = Object.fromEntries(Object.entries(shapes[part] ?? {}).map(([name, shape]) => [name.replace(/^text_model\./, ""), shape]));
  const width = side(own, "embeddings.position_embedding.weight", 1, file);
  return {
    architectures: [part === "text_encoder_2" ? "CLIPTextModelWithProjection" : "CLIPTextModel"],
    eos_token_id: 2,
    hidden_act: isOpen ? "gelu" : "quick_gelu",
    hidden_size: width,
    intermediate_size: side(own, "encoder.layers.0.mlp.fc1.weight", 0, file),
    layer_norm_eps: 1e-5,
    max_position_embeddings: side(own, "embeddings.position_embedding.weight", 0, file),
    model_type: "clip_text_model",
    num_attention_heads: width / HEAD,
    num_hidden_layers: countOf(Object.keys(own), /^encoder\.layers\.(\d+)\./),
    projection_dim: own["text_projection.weight"]?.shape[0] ?? (isOpen ? 512 : width),
    vocab_size: side(own, "embeddings.token_embedding.weight", 0, file),
  };
}

const range = (length: number): number[] => Array.from({ length }, (_, i) => i);

/** One side of a tensor's shape. Throws a Failure that names a tensor which the file lacks, as diffusers calls it. */
function side(shapes: Shapes, name: string, at: number, file: string): number {
  const found = shapes[name]?.shape[at];
  if (found !== undefined) return found;
  throw new Failure(`Cannot use ${file} as Stable Diffusion in one file: it has nothing for diffusers' "${name}". Fetch it again.`);
}
