import type { Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import type { Parameters } from "../layers.ts";

/** A frozen network whose activations serve as the space in which image sets are compared. */
export interface FeatureNetwork {
  name: string;
  hash: string; // sha256 of the weights file, hex
  dimension: number;
  size: number; // side of the square it sees, in pixels
  resizeFilter: string; // how images come to that size; "none" where they have it
  parameters: Weights;
  /** RGB images [batch, size, size, 3], 0..255, to features [batch, dimension]. */
  apply: (parameters: Parameters, images: Tensor) => Tensor;
}

/** What a network's own file contributes; the loader adds the rest. */
export interface Architecture extends Pick<FeatureNetwork, "name" | "dimension" | "parameters" | "apply"> {
  kind: FeatureDescription["kind"];
  /** Of the maps that `taps` of traced.ts answers: channels, and how many pixels of the network's input one place stands for. */
  maps: readonly { channels: number; stride: number }[];
  layers?: FeatureDescription["layers"];
}

/** A frozen image network as traced functions look through it (traced.ts): plain data, beside which its parameters go as a set. */
export interface FeatureDescription {
  kind: "builtin" | "resnet20" | "mobilenet";
  name: string;
  hash: string; // sha256 of the weights file, hex
  size: number; // side of the square it sees, in pixels
  /** Its feature maps from fine to coarse, each [side, side, channels]. */
  maps: readonly { side: number; channels: number }[];
  /** MobileNet's layer list. */
  layers?: readonly Layer[];
}

/** A layer of a network that is given as a list: it reads earlier outputs by name. */
export type Layer =
  | { type: "conv" | "dwconv"; name: string; in: [string]; out: string; stride: number; pad: "same"; act: "relu6" | null }
  | { type: "add"; in: [string, string]; out: string; act: "relu6" | null }
  | { type: "global_avg_pool"; in: [string]; out: string };

/** A convolution kernel [out, in, height, width] (PyTorch), as TensorFlow wants it, [height, width, in, out]. */
export function toChannelsLast({ shape, data }: Weights[string]): Weights[string] {
  const [outputs, inputs, height, width] = shape as [number, number, number, number];
  const result = new Float32Array(data.length);
  let at = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let i = 0; i < inputs; i++) {
        for (let o = 0; o < outputs; o++) result[at++] = data[((o * inputs + i) * height + y) * width + x]!;
      }
    }
  }
  return { shape: [height, width, inputs, outputs], data: result };
}
