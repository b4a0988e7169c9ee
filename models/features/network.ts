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
export type Architecture = Pick<FeatureNetwork, "name" | "dimension" | "parameters" | "apply">;

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
