/**
 * MobileNetV2 (Sandler et al. 2018) without its classifier, batch normalisation already folded; layers come as data.
 * Fully convolutional: any side that is a multiple of 32 gives 1,280 spatial means.
 */
import * as z from "zod";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { layoutDifferences, type Shapes, type Weights } from "../../engine/weights.ts";
import { conv, parameter, type Parameters } from "../layers.ts";
import { type Architecture, type Layer, toChannelsLast } from "./network.ts";

const activation = z.enum(["relu6"]).nullable();
const convolution = z.object({
  name: z.string(),
  in: z.tuple([z.string()]),
  out: z.string(),
  stride: z.number(),
  pad: z.literal("same"),
  act: activation,
});

/** The layer list that lies beside the weights: each layer reads earlier outputs by name. */
export const mobilenetLayers = z.object({
  layers: z.array(
    z.discriminatedUnion("type", [
      convolution.extend({ type: z.literal("conv") }),
      convolution.extend({ type: z.literal("dwconv") }),
      z.object({ type: z.literal("add"), in: z.tuple([z.string(), z.string()]), out: z.string(), act: activation }),
      z.object({ type: z.literal("global_avg_pool"), in: z.tuple([z.string()]), out: z.string() }),
    ]),
  ),
});

/** Features a picture. */
const DIMENSION = 1280;

/**
 * In words, what of these tensors is not what the layer list asks for. The list says neither sides of kernels nor how many
 * channels a layer makes: the layers after it must take them.
 */
export function mobilenetDifferences({ layers }: z.infer<typeof mobilenetLayers>, found: Shapes): string[] {
  const expected: Record<string, { shape: number[] }> = {};
  const channels = new Map<string, number>([["input", 3]]);
  for (const layer of layers) {
    const inputs = layer.in.map((name) => channels.get(name));
    const [first] = inputs;
    if (first === undefined || inputs.some((each) => each !== first)) return [`the layer list joins "${layer.in.join('" and "')}" in vain`];
    if (layer.type === "add" || layer.type === "global_avg_pool") channels.set(layer.out, first);
    else {
      const [outputs = 0, , height = 0, width = 0] = found[`${layer.name}.weight`]?.shape ?? [];
      const made = layer.type === "dwconv" ? first : outputs;
      expected[`${layer.name}.weight`] = { shape: [made, layer.type === "dwconv" ? 1 : first, height, width] };
      expected[`${layer.name}.bias`] = { shape: [made] };
      channels.set(layer.out, made);
    }
  }
  const made = channels.get(layers.at(-1)?.out ?? "input");
  if (made !== DIMENSION) return [`the layer list ends in ${made} features instead of ${DIMENSION}`];
  return layoutDifferences(expected, found);
}

/** Takes the published tensors [out, in, height, width] and the layer list; features are the last layer's output. */
export function mobilenet(tensors: Weights, { layers }: z.infer<typeof mobilenetLayers>): Architecture {
  const depthwise = new Set(layers.flatMap((layer) => (layer.type === "dwconv" ? [layer.name] : [])));
  const parameters: Weights = {};
  for (const [key, tensor] of Object.entries(tensors)) {
    const name = key.replace(/\.(weight|bias)$/, "");
    if (key.endsWith(".bias")) parameters[`${name}.bias`] = { shape: tensor.shape, data: tensor.data };
    else {
      const { shape, data } = toChannelsLast(tensor);
      const [height, width, , outputs] = shape as [number, number, number, number];
      parameters[`${name}.kernel`] = { shape: depthwise.has(name) ? [height, width, outputs, 1] : shape, data };
    }
  }
  const maps = narrowMaps(layers).map(({ name, stride }) => ({ channels: tensors[`${name}.bias`]!.shape[0] as number, stride }));
  return {
    kind: "mobilenet",
    maps,
    layers,
    name: "MobileNetV2 1.0 (ImageNet)",
    dimension: DIMENSION,
    parameters,
    apply: (parameters, images) => activations(parameters, images, layers).get(layers.at(-1)!.out)!,
  };
}

/**
 * RGB images [batch, side, side, 3], 0..255, to the last map of each resolution: the blocks' narrow outputs, which have no
 * activation (16, 24, 32, 96 and 320 channels at 1/2 to 1/32 of the side).
 */
export function mobilenetTaps(parameters: Parameters, images: Tensor, layers: readonly Layer[]): Tensor[] {
  const maps = narrowMaps(layers);
  const needed = layers.slice(0, layers.findIndex(({ out }) => out === maps.at(-1)?.out) + 1);
  const outputs = activations(parameters, images, needed);
  return maps.map(({ out }) => outputs.get(out) as Tensor);
}

/** Of each resolution the last output without activation, its stride, and the convolution that gives it its channels. */
function narrowMaps(layers: readonly Layer[]): { out: string; name: string; stride: number }[] {
  const at = new Map<string, { name: string; stride: number }>([["input", { name: "input", stride: 1 }]]);
  const last = new Map<number, { out: string; name: string; stride: number }>();
  for (const layer of layers) {
    if (layer.type === "global_avg_pool") continue;
    const before = at.get(layer.in[0]) as { name: string; stride: number };
    const made = layer.type === "add" ? before : { name: layer.name, stride: before.stride * layer.stride };
    at.set(layer.out, made);
    if (layer.act === null) last.set(made.stride, { out: layer.out, ...made });
  }
  return [...last.values()];
}

/** The output of every layer by name, for images [batch, side, side, 3], 0..255. */
export function activations(parameters: Parameters, images: Tensor, layers: readonly Layer[]): Map<string, Tensor> {
  const outputs = new Map<string, Tensor>([["input", tf.sub(tf.div(images, 127.5), 1)]]);
  for (const layer of layers) {
    const [x, other] = layer.in.map((name) => outputs.get(name)!) as [Tensor, Tensor];
    if (layer.type === "global_avg_pool") outputs.set(layer.out, tf.mean(x, [1, 2]));
    else {
      const y =
        layer.type === "add"
          ? tf.add(x, other)
          : layer.type === "conv"
            ? conv(parameters, layer.name, x, { stride: layer.stride })
            : depthwiseConv(parameters, layer.name, x, layer.stride);
      outputs.set(layer.out, layer.act === "relu6" ? tf.minimum(tf.relu(y), 6) : y);
    }
  }
  return outputs;
}

function depthwiseConv(parameters: Parameters, name: string, x: Tensor, stride: number): Tensor {
  const kernel = parameter(parameters, `${name}.kernel`);
  const y = tf.depthwiseConv2d(x as never, kernel as never, stride, "same");
  return tf.add(y, parameter(parameters, `${name}.bias`));
}
