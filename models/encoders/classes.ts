/** Class labels as they are, for networks that look them up themselves: rows without one have the number of classes. */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Encoder } from "./encoder.ts";

/** An encoder without parameters: the label [b], or `classes` where there is none or it is dropped. */
export function classesEncoder(classes: number): Encoder {
  return {
    name: "classes",
    reads: "label",
    inputs: (batch) => ({ label: { shape: [batch], dtype: "int32" } }),
    open:
      () =>
      ({ label }) => ({ label: label.map((of) => (of < 0 ? classes : of)) }),
    encode: (_, { label, keep }) => {
      const kept = keep as Tensor;
      const known = tf.mul(tf.cast(label as Tensor, "float32"), kept);
      return { label: tf.cast(tf.add(known, tf.mul(tf.sub(1, kept), classes)), "int32") };
    },
  };
}
