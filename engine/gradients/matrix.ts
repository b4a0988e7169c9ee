/** The gradient of products. TensorFlow.js's forgets to sum over a batch along which an operand was broadcast. */
import { tf, type Tensor } from "../tfjs.ts";
import { register, unbroadcast } from "./register.ts";

register({
  kernelName: "BatchMatMul",
  saves: ["a", "b"],
  by: (dy, saved, attributes) => {
    const { a, b } = saved as { a: Tensor; b: Tensor };
    const { transposeA = false, transposeB = false } = attributes as { transposeA?: boolean; transposeB?: boolean };
    const byA = (): Tensor => (transposeA ? tf.matMul(b, dy, transposeB, true) : tf.matMul(dy, b, false, !transposeB));
    const byB = (): Tensor => (transposeB ? tf.matMul(dy, a, true, transposeA) : tf.matMul(a, dy, !transposeA, false));
    return { a: () => unbroadcast(byA(), a.shape), b: () => unbroadcast(byB(), b.shape) };
  },
});
