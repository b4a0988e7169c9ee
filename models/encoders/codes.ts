/**
 * The map of an image's codes as an input of the network: what a control branch reads (models/families/controlled.ts). Codes come
 * from whoever asks the network, who has an image's tokens; no column of a store becomes one.
 */
import type { ControlSettings } from "../../schemas/settings.ts";
import type { Encoder } from "./encoder.ts";

/** Input `codes` [batch, height, width, dimension], which is the map as it is; zeros stand in for rows of a store. */
export function codesEncoder({ height, width, dimension }: ControlSettings): Encoder {
  return {
    name: "codes",
    inputs: (batch) => ({ codes: { shape: [batch, height, width, dimension] } }),
    open:
      () =>
      ({ label }) => ({ codes: new Float32Array(label.length * height * width * dimension) }),
    encode: (_, { codes }) => ({ map: codes }),
  };
}
