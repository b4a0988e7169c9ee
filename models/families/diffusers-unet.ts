/**
 * The course of diffusers' U-Nets, which UNet2DModel and UNet2DConditionModel share: levels of residual blocks with or without
 * attention on the way down, and on the way up, where every block takes a skip connection.
 *
 * Places are the modules' own names ("conv_in", "down_blocks.0.resnets.1", "mid_block.resnets.1", "up_blocks.0.upsamplers.0");
 * where a block takes a skip connection, its name and ".joined"; and each skip connection by itself, "skips.0" (of conv_in) and on
 * in the order in which they are made: where a ControlNet adds its maps.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { conv, groupNorm, type Parameters, silu } from "../layers.ts";
import { unread } from "../published/network.ts";
import { downsampler, type ResnetSettings, resnetBlock, upsampler } from "./diffusers-blocks.ts";
import { type Hooks, passing } from "./family.ts";

/** Keys that diffusers' EMAModel leaves in the config of averaged weights: of its averaging alone. */
export const averagingKeys = {
  decay: unread,
  inv_gamma: unread,
  min_decay: unread,
  optimization_step: unread,
  power: unread,
  update_after_step: unread,
  use_ema_warmup: unread,
};

/** Attention after the residual block `layer` of a level: x [b, h, w, c] through the layer `name`. */
type Attend = (name: string, x: Tensor, layer: number) => Tensor;

export interface Level {
  /** Residual blocks. */
  layers: number;
  attend?: Attend | undefined;
  /** How the map is halved or doubled after them; not at all at the end of either way. */
  resampling?: "conv" | "resnet" | undefined;
}

export interface Course {
  down: readonly Level[];
  /** Attention between its residual blocks. */
  middle?: { layers: number; attend?: Attend | undefined } | undefined;
  up: readonly Level[];
  resnet: ResnetSettings;
  /** What the sums of the middle's residual blocks are divided by. */
  middleDivisor: number;
  /** Of the convolutions that halve a map. */
  padding: number;
}

/** One module on the way; `like` is the skip connection that is taken next. */
interface Step {
  place: string;
  apply: (x: Tensor, like: Tensor) => Tensor;
  /** Whether its features are a skip connection later. */
  isKept?: boolean;
  /** Whether its input is joined with a skip connection. */
  joins?: boolean;
}

/**
 * The whole network: sample [b, h, w, in] and the vector [b, width] of time and conditions to [b, h, w, out], or the features of the
 * place where `hooks` ends. Odd sizes become the larger half with a padding of 1, and come back.
 */
export function diffusersUnet(
  course: Course,
  parameters: Parameters,
  { sample, vector }: { sample: Tensor; vector: Tensor },
  hooks: Hooks = {},
): Tensor {
  const { groups, epsilon } = course.resnet;
  const skips: Tensor[] = [];
  let x = sample;
  for (const { place, apply, isKept, joins } of stepsOf(course, parameters, silu(vector))) {
    if (joins) {
      const skip = skips.pop() as Tensor;
      x = passing(hooks, `${place}.joined`, tf.concat([x, passing(hooks, `skips.${skips.length}`, skip)], -1));
    }
    x = passing(hooks, place, apply(x, skips.at(-1) as Tensor));
    if (hooks.last === place) return x;
    if (isKept) skips.push(x);
  }
  return conv(parameters, "conv_out", silu(groupNorm(parameters, "conv_norm_out", x, groups, epsilon)));
}

/** All modules in order, from conv_in to before the last norm; `vector` is after its activation. */
function stepsOf({ down, middle, up, resnet, middleDivisor, padding }: Course, parameters: Parameters, vector: Tensor): Step[] {
  const settings = { ...resnet, vector };
  const residual = (place: string, divisor = 1): Step => ({
    place,
    apply: (x) => resnetBlock(parameters, place, x, { ...settings, divisor }),
  });
  const resampling = (place: string, kind: "conv" | "resnet", to: "down" | "up"): Step => {
    if (kind === "resnet") return { place, apply: (x) => resnetBlock(parameters, place, x, { ...settings, resampling: to }) };
    return to === "down"
      ? { place, apply: (x) => downsampler(parameters, place, x, padding) }
      : { place, apply: (x, like) => upsampler(parameters, place, x, like) };
  };
  const attention = (block: string, attend: Attend, layer: number): Step => {
    const place = `${block}.attentions.${layer}`;
    return { place, apply: (x) => attend(place, x, layer) };
  };

  const steps: Step[] = [{ place: "conv_in", apply: (x) => conv(parameters, "conv_in", x), isKept: true }];
  for (const [level, { layers, attend, resampling: kind }] of down.entries()) {
    const block = `down_blocks.${level}`;
    for (let layer = 0; layer < layers; layer++) {
      steps.push({ ...residual(`${block}.resnets.${layer}`), isKept: !attend });
      if (attend) steps.push({ ...attention(block, attend, layer), isKept: true });
    }
    if (kind) steps.push({ ...resampling(`${block}.downsamplers.0`, kind, "down"), isKept: true });
  }
  for (let layer = 0; middle && layer < middle.layers; layer++) {
    if (middle.attend && layer > 0) steps.push(attention("mid_block", middle.attend, layer - 1));
    steps.push(residual(`mid_block.resnets.${layer}`, middleDivisor));
  }
  for (const [level, { layers, attend, resampling: kind }] of up.entries()) {
    const block = `up_blocks.${level}`;
    for (let layer = 0; layer < layers; layer++) {
      steps.push({ ...residual(`${block}.resnets.${layer}`), joins: true });
      if (attend) steps.push(attention(block, attend, layer));
    }
    if (kind) steps.push(resampling(`${block}.upsamplers.0`, kind, "up"));
  }
  return steps;
}
