/**
 * Gradients that can be differentiated again. TensorFlow.js saves the output of these operations and treats it as a
 * constant when it differentiates their gradient, which is silently wrong (tfjs #3252: 2 % for tanh, 58 % for
 * logSoftmax). Here each is recomputed from the saved input; a compiled graph shares the recomputation with the forward pass.
 */
import { tf, type Tensor } from "./tfjs.ts";

type Unary = (dy: Tensor, x: Tensor) => Tensor;

function register(kernelName: string, gradient: Unary, input = "x"): void {
  tf.unregisterGradient(kernelName);
  tf.registerGradient({
    kernelName,
    inputsToSave: [input],
    gradFunc: (dy, [x]) => ({ [input]: () => gradient(dy as Tensor, x as Tensor) }),
  });
}

register("Tanh", (dy, x) => tf.mul(dy, tf.sub(1, tf.square(tf.tanh(x)))));
register("Exp", (dy, x) => tf.mul(dy, tf.exp(x)));
register("Sigmoid", (dy, x) => {
  const y = tf.sigmoid(x);
  return tf.mul(dy, tf.mul(y, tf.sub(1, y)));
});
register("Rsqrt", (dy, x) => {
  const y = tf.rsqrt(x);
  return tf.mul(tf.mul(dy, -0.5), tf.mul(y, tf.square(y)));
});
register("Sqrt", (dy, x) => tf.mul(tf.mul(dy, 0.5), tf.rsqrt(x)));
// Its own form is right, but doubles x: here the doubled factor is dy, often a single number for a whole row.
register("Square", (dy, x) => tf.mul(tf.mul(dy, 2), x));

tf.unregisterGradient("Softmax");
tf.registerGradient({
  kernelName: "Softmax",
  inputsToSave: ["logits"],
  gradFunc: (dy, [logits], attributes) => {
    const { dim } = attributes as unknown as { dim: number };
    return {
      logits: () => {
        const y = tf.softmax(logits as Tensor, dim);
        const weighted = tf.mul(dy as Tensor, y);
        return tf.sub(weighted, tf.mul(tf.sum(weighted, dim, true), y));
      },
    };
  },
});
tf.unregisterGradient("LogSoftmax");
tf.registerGradient({
  kernelName: "LogSoftmax",
  inputsToSave: ["logits"],
  gradFunc: (dy, [logits], attributes) => {
    const { axis } = attributes as unknown as { axis: number };
    return {
      logits: () => tf.sub(dy as Tensor, tf.mul(tf.sum(dy as Tensor, axis, true), tf.softmax(logits as Tensor, axis))),
    };
  },
});
