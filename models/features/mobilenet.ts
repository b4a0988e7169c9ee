/**
 * MobileNetV2 (Sandler et al. 2018) without its classifier, batch normalisation already folded; layers come as data.
 * Fully convolutional: any side that is a multiple of 32 gives 1,280 spatial means.
 */
import * as z from "zod";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { layoutDifferences, type Shapes, type Weights } from "../../engine/weights.ts";
import { conv, parameter, type Parameters } from "../layers.ts";
import { type Architecture, toChannelsLast } from "./network.ts";

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

type Layer = z.infer<typeof mobilenetLayers>["layers"][number];

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
  return {
    name: "MobileNetV2 1.0 (ImageNet)",
    dimension: DIMENSION,
    parameters,
    apply: (parameters, images) => activations(parameters, images, layers).get(layers.at(-1)!.out)!,
  };
}

/** The output of every layer by name, for images [batch, side, side, 3], 0..255. */
export function activations(parameters: Parameters, images: Tensor, layers: Layer[]): Map<string, Tensor> {
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
