/** EDM's networks as denoisers: F of the preconditioning, their parts, and their trunk. */
import { tf } from "../../engine/tfjs.ts";
import type { PublishedDenoiser } from "../published/network.ts";
import { type EdmConfig, enterOf, levelOf } from "./edm-config.ts";
import type { Trunk } from "./family.ts";
import { mapTrunk, mapTrunkLimits } from "./map-trunk.ts";

/** The network as a discriminator's trunk, whole but for what makes an image of its features. */
function trunkOf(c: EdmConfig, options: { scales: readonly number[] }): Trunk {
  const levels = c.channel_mult.map((_, level) => {
    const { side, outputs: channels } = levelOf(c, level);
    const block = (i: number): string => `dec.${side}_block${i}`;
    const down = level > 0 && { down: `enc.${side}_down` };
    return { channels, before: block(c.num_blocks - 1), joined: `${block(c.num_blocks)}.joined`, after: block(c.num_blocks), ...down };
  });
  const { side, outputs: channels } = levelOf(c, levels.length - 1);
  const width = c.model_channels * (c.model_type === "SongUNet" ? 1 : (c.channel_mult[0] as number)); // of the first convolution
  const [enter, last] = [enterOf(c), `dec.${side}_in1`];
  const isInner = (name: string): boolean => !/^model\.(dec|out_)/.test(name) || name.startsWith(`model.dec.${side}_in`);
  return mapTrunk(
    {
      inputs: c.img_channels,
      width,
      enter,
      first: `model.${enter}.kernel`,
      levels,
      uses: (name) => !/^model\.(out_|dec\.\w+_aux_)/.test(name),
      core: { last, channels, uses: isInner },
    },
    options,
  );
}

/** The raw network as a denoiser. */
export const edmDenoiser = (c: EdmConfig): PublishedDenoiser => ({
  shape: [c.img_resolution, c.img_resolution, c.img_channels],
  sizes: { why: "its layers are named and laid out for the one resolution of its config" },
  conditions: c.label_dim > 0 ? { classes: c.label_dim } : {},
  // One past the last class has no one in its row: it is none. No augmentation is given as such, for training wants every parameter read.
  inputs: ({ x, noiseLevel, label }) => ({
    x,
    noise: noiseLevel,
    ...(label && { classes: tf.oneHot(label as never, c.label_dim) }),
    ...(c.augment_dim > 0 && { augment: tf.zeros([x.shape[0] as number, c.augment_dim]) }),
  }),
  call: "network_raw",
  features: c.channel_mult.map((_, level) => `enc.${levelOf(c, level).side}_block${c.num_blocks - 1}`),
  groups: {
    attention: /\.(qkv|proj)\./,
    conv: /\.conv[01]\.|_conv\.|_aux_/,
    norm: /\bnorm[012]\.|_norm\./,
    modulation: /\.affine\./,
    embedding: /\.map_/,
    qkv: /\.qkv\./,
    skip: /\.skip\./,
    bulk: /\.conv[01]\.|\.proj\./,
  },
  trunk: (options) => trunkOf(c, options),
  trunkLimits: (shape) => mapTrunkLimits(c.channel_mult.length, shape),
});
