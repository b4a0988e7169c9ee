/**
 * Diffusers' UNet2DConditionModel: the U-Nets of Stable Diffusion 1 and 2 (Rombach et al. 2022) and SDXL (Podell et al. 2023), and
 * students of them. Attention's heads are counted by `attention_head_dim`, a name given by mistake and kept ever since.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { Failure } from "../../schemas/failure.ts";
import { linear, type Parameters } from "../layers.ts";
import { given, givenText, lookup, timeEmbedding, timeFeatures } from "../published/layers.ts";
import type { PublishedDenoiser, PublishedNetwork } from "../published/network.ts";
import { transformer } from "./diffusers-blocks.ts";
import { unetBuilt } from "./diffusers-denoisers.ts";
import { type Course, diffusersUnet } from "./diffusers-unet.ts";
import type { Hooks } from "./family.ts";
import { config, type SdUnetConfig as Config, depthAt, levelsOf } from "./sd-unet-config.ts";

function courseOf(c: Config, parameters: Parameters, context: Tensor): Course {
  const { norm_num_groups: groups, norm_eps: epsilon } = c;
  const levels = levelsOf(c);
  const [last] = levels.slice(-1) as [(typeof levels)[number]];
  const attend = (heads: number, isCrossOnly: boolean, depth: (layer: number) => number) => (name: string, x: Tensor, layer: number) =>
    transformer(parameters, name, x, { context, heads, groups, depth: depth(layer), isCrossOnly });
  const resampling = (level: number) => (level < levels.length - 1 ? ("conv" as const) : undefined);
  const middles = {
    UNetMidBlock2DCrossAttn: { layers: 2, attend: attend(last.heads, false, (layer) => depthAt(last.depth, layer)) },
    UNetMidBlock2D: { layers: 1 },
  };
  return {
    down: levels.map(({ layers, heads, isCrossOnly, depth }, i) => ({
      layers,
      attend: c.down_block_types[i] === "DownBlock2D" ? undefined : attend(heads, isCrossOnly, (layer) => depthAt(depth, layer)),
      resampling: resampling(i),
    })),
    middle: c.mid_block_type === null ? undefined : middles[c.mid_block_type],
    up: levels.toReversed().map(({ layers, heads, isCrossOnly, depth }, i) => ({
      layers: layers + 1,
      attend:
        c.up_block_types[i] === "UpBlock2D"
          ? undefined
          : attend(heads, isCrossOnly, (layer) => depthAt(c.reverse_transformer_layers_per_block?.[i] ?? depth, layer)),
      resampling: resampling(i),
    })),
    resnet: { groups, epsilon, isScaleShift: c.resnet_time_scale_shift === "scale_shift" },
    middleDivisor: c.mid_block_scale_factor,
    padding: c.downsample_padding,
  };
}

/** The vector [b, width] of time, guidance (`timestep_cond`), class, pooled text and sizes (`text_embeds`, `time_ids`). */
function vectorOf(c: Config, parameters: Parameters, inputs: Record<string, Tensor>): Tensor {
  const [channels = 0] = c.block_out_channels;
  const features = (times: Tensor, width: number): Tensor =>
    timeFeatures(times, { width, cosinesFirst: c.flip_sin_to_cos, shift: c.freq_shift });
  const { timestep_cond: guidance } = inputs;
  const times = features(given(inputs, "timestep"), channels);
  const guided =
    c.time_cond_proj_dim !== null && guidance ? tf.add(times, linear(parameters, "time_embedding.cond_proj", guidance)) : times;
  let vector = timeEmbedding(parameters, "time_embedding", guided);
  if (c.class_embed_type !== null || c.num_class_embeds !== null) {
    const labels = given(inputs, "class_labels");
    const name = "class_embedding";
    if (c.class_embed_type === null) vector = tf.add(vector, lookup(parameters, name, labels));
    if (c.class_embed_type === "timestep") vector = tf.add(vector, timeEmbedding(parameters, name, features(labels, channels)));
    if (c.class_embed_type === "projection") vector = tf.add(vector, timeEmbedding(parameters, name, labels));
  }
  if (c.addition_embed_type === "text_time") {
    const text = given(inputs, "text_embeds");
    const sizes = features(tf.reshape(given(inputs, "time_ids"), [-1]), c.addition_time_embed_dim as number);
    const both = tf.concat([text, tf.reshape(sizes, [text.shape[0] as number, -1])], -1);
    vector = tf.add(vector, timeEmbedding(parameters, "add_embedding", both));
  }
  return vector;
}

/**
 * The network past the places of diffusers-unet.ts: sample [b, h, w, in], timestep [b], encoder_hidden_states [b, m, e] and what
 * the config asks for besides: timestep_cond [b, time_cond_proj_dim], class_labels [b], text_embeds [b, d], time_ids [b, n]
 * -> [b, h, w, out].
 */
function apply(c: Config, parameters: Parameters, inputs: Record<string, Tensor>, hooks: Hooks = {}): Tensor {
  const latent = given(inputs, "sample");
  const sample = c.center_input_sample ? tf.sub(tf.mul(latent, 2), 1) : latent;
  const states = given(inputs, "encoder_hidden_states");
  const context = c.encoder_hid_dim === null ? states : linear(parameters, "encoder_hid_proj", states);
  return diffusersUnet(courseOf(c, parameters, context), parameters, { sample, vector: vectorOf(c, parameters, inputs) }, hooks);
}

/** Numbers that SDXL is told of a picture: its original size, where its crop begins, its size. */
const TIME_IDS = 6;

/** Why a network of this config is asked more than latents, time, text and size, to end a sentence; undefined where it is not. */
function refusalOf(c: Config): string | undefined {
  if (c.in_channels !== c.out_channels)
    return `it takes ${c.in_channels} channels and answers ${c.out_channels}, so it asks for another picture`;
  if (c.class_embed_type !== null || c.num_class_embeds !== null) return "it asks for a class beside its text";
  const { projection_class_embeddings_input_dim: joined, addition_time_embed_dim: width } = c;
  // The config does not say how many numbers there are. A refiner has one text encoder: its pooled features are as wide as its tokens.
  if (joined !== null && width !== null && joined - (TIME_IDS - 1) * width === textWidth(c))
    return "it is a refiner, which asks for an aesthetic score";
  return undefined;
}

/** Width of the text's tokens that it takes. */
const textWidth = (c: Config): number => c.encoder_hid_dim ?? ([c.cross_attention_dim].flat()[0] as number);

function denoiser(c: Config): PublishedDenoiser {
  const refusal = refusalOf(c);
  if (refusal) throw new Failure(`Cannot denoise with this UNet2DConditionModel: ${refusal}. Take a base model from text to image.`);
  const [height, width] = [c.sample_size].flat() as (number | null)[];
  const isToldSize = c.addition_embed_type === "text_time";
  const pooled = (c.projection_class_embeddings_input_dim ?? 0) - TIME_IDS * (c.addition_time_embed_dim ?? 0);
  return {
    shape: [height ?? SIDE, width ?? height ?? SIDE, c.in_channels],
    sizes: { multiple: 1 }, // odd sides are halved upwards, and come back
    conditions: {
      text: { width: textWidth(c), ...(isToldSize && { pooled }) },
      ...(c.time_cond_proj_dim !== null && { guidance: true }),
    },
    inputs: ({ x, noiseLevel, pixels, ...told }) => ({
      sample: x,
      timestep: noiseLevel,
      encoder_hidden_states: givenText(told).tokens,
      ...(c.time_cond_proj_dim !== null && { timestep_cond: guidanceFeatures(given(told, "guidance"), c.time_cond_proj_dim) }),
      ...(isToldSize && {
        text_embeds: given(told, "vector"),
        time_ids: told.size ?? tf.tile(tf.tensor2d([...pixels, 0, 0, ...pixels], [1, TIME_IDS]), [x.shape[0] as number, 1]),
      }),
    }),
    ...unetBuilt({
      inputs: c.in_channels,
      levels: levelsOf(c).map(({ layers }, level) => ({
        channels: c.block_out_channels[level] as number,
        layers,
        hasAttention: c.up_block_types.at(-1 - level) !== "UpBlock2D",
      })),
      middles: c.mid_block_type === null ? 0 : c.mid_block_type === "UNetMidBlock2D" ? 1 : 2,
    }),
  };
}

/** Side of latents where a config tells none. */
const SIDE = 64;

/** See PublishedNetwork. */
function told(c: Config): Record<string, readonly number[]> {
  const [first = 0] = c.block_out_channels;
  const embedding = c.time_embedding_dim ?? 4 * first;
  const added = c.projection_class_embeddings_input_dim;
  const levels = c.block_out_channels.flatMap((channels, level): [string, number[]][] => {
    const [block, attention] = [`down_blocks.${level}`, `down_blocks.${level}.attentions.0`];
    const context = Array.isArray(c.cross_attention_dim) ? (c.cross_attention_dim[level] as number) : c.cross_attention_dim;
    return [
      [`${block}.resnets.0.conv1.kernel`, [3, 3, c.block_out_channels[Math.max(level - 1, 0)] as number, channels]],
      [`${attention}.proj_in.kernel`, c.use_linear_projection ? [channels, channels] : [1, 1, channels, channels]],
      [`${attention}.transformer_blocks.0.attn2.to_k.kernel`, [context, channels]],
    ];
  });
  return {
    ...Object.fromEntries(levels),
    "conv_in.kernel": [c.conv_in_kernel, c.conv_in_kernel, c.in_channels, first],
    "conv_out.kernel": [c.conv_out_kernel, c.conv_out_kernel, first, c.out_channels],
    "time_embedding.linear_1.kernel": [first, embedding],
    ...(c.addition_embed_type && added && { "add_embedding.linear_1.kernel": [added, embedding] }),
  };
}

/** Features of guidance scales [b] as latent consistency models have them, [b, width]: no guidance, a scale of 1, is at zero. */
function guidanceFeatures(scale: Tensor, width: number): Tensor {
  return timeFeatures(tf.mul(tf.sub(scale, 1), 1000), { width, cosinesFirst: false, shift: 1 });
}

export const sdUnet: PublishedNetwork<Config> = {
  classes: ["UNet2DConditionModel"],
  config,
  names: () => ({ tables: /^class_embedding\.weight$/ }),
  spare: /\.attn\d\.to_[qkv]\.bias$|^time_embedding\.cond_proj\.bias$/,
  told,
  forward: (c, parameters, inputs, _, hooks) => ({ out: apply(c, parameters, inputs, hooks) }),
  denoiser,
};
