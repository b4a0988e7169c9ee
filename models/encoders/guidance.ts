/**
 * The guidance scale as an input of the network (Meng et al. 2023, On Distillation of Guided Diffusion Models; LCM, Luo et al.
 * 2023): waves of 1000 w through a linear layer without bias, added to the condition vector. The layer starts at zero, so
 * that a network which begins as its teacher answers as its teacher whatever the scale.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { createInitialiser } from "../initialise.ts";
import { linear, sinusoidal } from "../layers.ts";
import type { Encoder } from "./encoder.ts";

/** Waves of a scale; LCM's number. */
const FEATURES = 256;

/** A scale a row, as a vector of `width` numbers. Rows that come from a store have scale 1, which is no guidance. */
export function guidanceEncoder({ width }: { width: number }): Encoder {
  return {
    name: "guidance",
    parameters: /^guidance\./,
    init: (seed) => {
      const init = createInitialiser(seed);
      init.linear("guidance", FEATURES, width, { gain: 0, bias: false });
      return init.weights;
    },
    inputs: (batch) => ({ guidance: { shape: [batch] } }),
    open:
      () =>
      ({ label }) => ({ guidance: new Float32Array(label.length).fill(1) }),
    encode: (parameters, { guidance }) => ({
      vector: linear(parameters, "guidance", sinusoidal(guidance as Tensor, FEATURES, { scale: 1000, period: 10_000 })),
      guidance: tf.reshape(guidance as Tensor, [-1]),
    }),
  };
}

/** The scale as it is, for published networks that embed it themselves: an encoder without parameters, whose rows have scale 1 as above. */
export function scaleEncoder(): Encoder {
  const { name, inputs, open } = guidanceEncoder({ width: 0 });
  return { name, inputs, open, encode: (_, { guidance }) => ({ guidance: tf.reshape(guidance as Tensor, [-1]) }) };
}
