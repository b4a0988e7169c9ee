/** What AutoencoderTiny (TAESD) is made of: its layers as codec.json lists them, and the tensors that each of them has. */
import * as z from "zod";
import { layoutDifferences, type Shapes } from "../../engine/weights.ts";

/** One layer of a sequence; `name` is the prefix of its parameters. */
const taesdLayer = z.strictObject({
  kind: z.enum(["conv", "down", "up", "block"]), // down: stride-2 convolution; up: nearest 2x enlargement, then a convolution
  name: z.string(),
});
export type TaesdLayer = z.infer<typeof taesdLayer>;

export const taesdSchema = z.strictObject({
  latentChannels: z.int().positive(),
  downsample: z.int().positive(), // image side over latent side
  encoder: z.array(taesdLayer).min(1),
  decoder: z.array(taesdLayer).min(1),
});
export type TaesdConfig = z.infer<typeof taesdSchema>;

/** Channels of an image. */
const COLOURS = 3;

/** Groups of the normalisation in a pool branch. */
export const POOL_GROUPS = 4;

/**
 * In words, what of these tensors [height, width, in, out] is not what the layers have, one after the other: how many
 * channels a layer makes is its own affair, but the next one must take them, and both ends are given.
 */
export function taesdDifferences({ latentChannels, downsample, encoder, decoder }: TaesdConfig, found: Shapes): string[] {
  const expected = { ...layersOf(encoder, found, [COLOURS, latentChannels]), ...layersOf(decoder, found, [latentChannels, COLOURS]) };
  const halvings = (layers: TaesdLayer[], kind: TaesdLayer["kind"]): number => 2 ** layers.filter((layer) => layer.kind === kind).length;
  const isConsistent = halvings(encoder, "down") === downsample && halvings(decoder, "up") === downsample;
  return [
    ...(isConsistent ? [] : [`the layers change the resolution by another factor than ${downsample}`]),
    ...layoutDifferences(expected, found),
  ];
}

type Shape = { shape: number[] };

/** The tensors of a sequence that takes and makes so many channels. */
function layersOf(layers: readonly TaesdLayer[], found: Shapes, [takes, makes]: readonly [number, number]): Record<string, Shape> {
  const expected: Record<string, Shape> = {};
  const kernel = (name: string, side: number, inputs: number, outputs: number): void => {
    expected[`${name}.kernel`] = { shape: [side, side, inputs, outputs] };
  };
  const vector = (name: string, length: number): void => {
    expected[name] = { shape: [length] };
  };
  let inputs = takes;
  layers.forEach(({ kind, name }, i) => {
    const first = kind === "block" ? `${name}.conv.0` : name;
    const outputs = i === layers.length - 1 ? makes : (found[`${first}.kernel`]?.shape[3] ?? inputs);
    kernel(first, 3, inputs, outputs);
    if (kind === "conv" || kind === "block") vector(`${first}.bias`, outputs);
    if (kind === "block") {
      for (const at of [2, 4]) {
        kernel(`${name}.conv.${at}`, 3, outputs, outputs);
        vector(`${name}.conv.${at}.bias`, outputs);
      }
      if (inputs !== outputs) kernel(`${name}.skip`, 1, inputs, outputs);
      const pooled = found[`${name}.pool.0.kernel`]?.shape[3];
      if (pooled !== undefined) {
        const channels = Math.max(1, Math.ceil(pooled / POOL_GROUPS)) * POOL_GROUPS;
        kernel(`${name}.pool.0`, 1, inputs, channels);
        for (const field of ["scale", "bias"]) vector(`${name}.pool.1.${field}`, channels);
        kernel(`${name}.pool.3`, 1, channels, inputs);
      }
    }
    inputs = outputs;
  });
  return expected;
}
