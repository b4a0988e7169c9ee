/** Gradients of elementwise kernels. */
import { tf, type Tensor } from "../tfjs.ts";
import { noGradient, register, registerUnary, unbroadcast } from "./register.ts";

registerUnary("Rsqrt", (dy, x) => {
  const y = tf.rsqrt(x);
  return tf.mul(tf.mul(dy, -0.5), tf.mul(y, tf.square(y)));
});
registerUnary("Sqrt", (dy, x) => tf.mul(tf.mul(dy, 0.5), tf.rsqrt(x)));
// Its own form is right, but doubles x: here the doubled factor is dy, often a single number for a whole row.
registerUnary("Square", (dy, x) => tf.mul(tf.mul(dy, 2), x));
registerUnary("Elu", (dy, x) => tf.mul(dy, tf.exp(tf.minimum(x, 0)))); // TensorFlow.js's own kernel for it has no derivative

for (const [kernelName, isFirst] of [
  ["Maximum", tf.greaterEqual],
  ["Minimum", tf.lessEqual],
] as const) {
  register({
    kernelName,
    saves: ["a", "b"],
    by: (dy, saved) => {
      const { a, b } = saved as { a: Tensor; b: Tensor };
      const first = (): Tensor => tf.cast(isFirst(a, b), "float32");
      return {
        a: () => unbroadcast(tf.mul(dy, first()), a.shape),
        b: () => unbroadcast(tf.mul(dy, tf.sub(1, first())), b.shape),
      };
    },
  });
}

register({
  kernelName: "SquaredDifference",
  saves: ["a", "b"],
  by: (dy, saved) => {
    const { a, b } = saved as { a: Tensor; b: Tensor };
    const slope = (): Tensor => tf.mul(tf.mul(dy, 2), tf.sub(a, b));
    return { a: () => unbroadcast(slope(), a.shape), b: () => unbroadcast(tf.neg(slope()), b.shape) };
  },
});

// Steps: TensorFlow.js differentiates floorDiv as if it were div, and the comparisons not at all, so that `where` fails.
const STEPS = ["FloorDiv", "Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual", "LogicalAnd", "LogicalOr"];
for (const kernelName of STEPS) {
  register({ kernelName, saves: ["a", "b"], by: (_dy, { a, b }) => ({ a: noGradient(a as Tensor), b: noGradient(b as Tensor) }) });
}
for (const kernelName of ["LogicalNot", "IsNan", "IsInf", "IsFinite"]) registerUnary(kernelName, (_dy, x) => noGradient(x)());
