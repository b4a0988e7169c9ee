/** Class labels as a vector: a learned row of a table for each class, and one for "no class". */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { createInitialiser } from "../initialise.ts";
import { parameter } from "../layers.ts";
import type { Encoder } from "./encoder.ts";

/** `classes` of them, each a vector of `width` numbers. */
export function labelEncoder({ classes, width }: { classes: number; width: number }): Encoder {
  return {
    name: "classes",
    reads: "label",
    parameters: /^classes$/,
    init: (seed) => {
      const init = createInitialiser(seed);
      init.normal("classes", [classes + 1, width], 0.5); // the last row stands for "no class"
      return init.weights;
    },
    inputs: (batch) => ({ label: { shape: [batch], dtype: "int32" } }),
    open:
      () =>
      ({ label }) => ({ label }),
    encode: (parameters, { label, keep }) => {
      const kept = tf.reshape(keep as Tensor, [-1, 1]);
      const known = tf.mul(tf.oneHot(label as never, classes), kept);
      const choice = tf.concat([known, tf.sub(1, kept)], 1);
      return { vector: tf.matMul(choice as never, parameter(parameters, "classes") as never) };
    },
  };
}
