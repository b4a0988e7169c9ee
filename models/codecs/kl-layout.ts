/** What AutoencoderKL is made of: the tensors that a config asks for, by our names and in our layouts. */
import type { Shapes } from "../../engine/weights.ts";
import type { KlConfig } from "./kl.ts";

type Add = (name: string, shape: readonly number[]) => void;

/** Every parameter of the network of this config, and no other: those that kl.ts reads. */
export function klLayout(c: KlConfig): Shapes {
  const shapes: Record<string, { shape: readonly number[] }> = {};
  const add: Add = (name, shape) => {
    shapes[name] = { shape };
  };
  addEncoder(add, c);
  addDecoder(add, c);
  if (c.use_quant_conv) addConv(add, "quant_conv", [1, 2 * c.latent_channels, 2 * c.latent_channels]);
  if (c.use_post_quant_conv) addConv(add, "post_quant_conv", [1, c.latent_channels, c.latent_channels]);
  return shapes;
}

function addEncoder(add: Add, c: KlConfig): void {
  const widths = c.block_out_channels;
  const [first, last] = [widths[0] as number, widths.at(-1) as number];
  addConv(add, "encoder.conv_in", [3, c.in_channels, first]);
  widths.forEach((width, level) => {
    const name = `encoder.down_blocks.${level}`;
    addResiduals(add, name, { count: c.layers_per_block, inputs: widths[level - 1] ?? first, outputs: width });
    if (level < widths.length - 1) addConv(add, `${name}.downsamplers.0.conv`, [3, width, width]);
  });
  addMiddle(add, "encoder.mid_block", last, c);
  addEnding(add, "encoder", last, 2 * c.latent_channels); // means and variances
}

function addDecoder(add: Add, c: KlConfig): void {
  const widths = c.block_out_channels.toReversed();
  const [first, last] = [widths[0] as number, widths.at(-1) as number];
  addConv(add, "decoder.conv_in", [3, c.latent_channels, first]);
  addMiddle(add, "decoder.mid_block", first, c);
  widths.forEach((width, level) => {
    const name = `decoder.up_blocks.${level}`;
    addResiduals(add, name, { count: c.layers_per_block + 1, inputs: widths[level - 1] ?? first, outputs: width });
    if (level < widths.length - 1) addConv(add, `${name}.upsamplers.0.conv`, [3, width, width]);
  });
  addEnding(add, "decoder", last, c.out_channels);
}

function addConv(add: Add, name: string, [side, inputs, outputs]: readonly [number, number, number]): void {
  add(`${name}.kernel`, [side, side, inputs, outputs]);
  add(`${name}.bias`, [outputs]);
}

function addNorm(add: Add, name: string, width: number): void {
  add(`${name}.scale`, [width]);
  add(`${name}.bias`, [width]);
}

/** Residual blocks, of which the first may change the number of channels. */
function addResiduals(add: Add, stem: string, { count, inputs, outputs }: { count: number; inputs: number; outputs: number }): void {
  for (let i = 0; i < count; i++) {
    const name = `${stem}.resnets.${i}`;
    const given = i === 0 ? inputs : outputs;
    addNorm(add, `${name}.norm1`, given);
    addConv(add, `${name}.conv1`, [3, given, outputs]);
    addNorm(add, `${name}.norm2`, outputs);
    addConv(add, `${name}.conv2`, [3, outputs, outputs]);
    if (given !== outputs) addConv(add, `${name}.conv_shortcut`, [1, given, outputs]);
  }
}

function addMiddle(add: Add, name: string, width: number, c: KlConfig): void {
  addResiduals(add, name, { count: 2, inputs: width, outputs: width });
  if (!c.mid_block_add_attention) return;
  addNorm(add, `${name}.attentions.0.group_norm`, width);
  for (const layer of ["to_q", "to_k", "to_v", "to_out.0"]) {
    add(`${name}.attentions.0.${layer}.kernel`, [width, width]);
    add(`${name}.attentions.0.${layer}.bias`, [width]);
  }
}

function addEnding(add: Add, name: string, inputs: number, outputs: number): void {
  addNorm(add, `${name}.conv_norm_out`, inputs);
  addConv(add, `${name}.conv_out`, [3, inputs, outputs]);
}
