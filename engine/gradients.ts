/**
 * Gradients that replace TensorFlow.js's, for two reasons.
 *
 * So that a gradient can be differentiated again: TensorFlow.js saves the output of many operations and takes it for a
 * constant when it differentiates their gradient, which is silently wrong (tfjs #3252: 2 % for tanh), and for some it
 * has no second derivative. Here each is recomputed from the saved input; a compiled graph shares the recomputation
 * with the forward pass.
 *
 * And where its first derivative fails: maximum, minimum and squaredDifference of broadcast operands, cumsum along any
 * axis but the last, unstack along a negative one, and comparisons, without which `where` has no gradient.
 */
import { tf, type Tensor } from "./tfjs.ts";

type Unary = (dy: Tensor, x: Tensor) => Tensor;

function register(kernelName: string, gradient: Unary, input = "x"): void {
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
register("Elu", (dy, x) => tf.mul(dy, tf.exp(tf.minimum(x, 0))));

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
for (const [kernelName, extreme] of [["Max", tf.max], ["Min", tf.min]] as const) {
  tf.registerGradient({
    kernelName,
    inputsToSave: ["x"],
    gradFunc: (dy, [x], attributes) => ({
      x: () => {
        const input = x as Tensor;
        const { axis, reductionIndices = axis } = attributes as unknown as Record<"axis" | "reductionIndices", number[]>;
        const axes = tf.util.parseAxisParam(reductionIndices, input.shape);
        const best = extreme(input, axes, true);
        return tf.mul(tf.reshape(dy as Tensor, best.shape), tf.cast(tf.equal(input, best), "float32"));
      },
    }),
  });
}

/** `t` summed over the axes along which it was broadcast from `shape`. */
function unbroadcast(t: Tensor, shape: number[]): Tensor {
  const axes = tf.broadcast_util.getReductionAxes(shape, t.shape);
  return tf.reshape(axes.length > 0 ? tf.sum(t, axes) : t, shape);
}

for (const [kernelName, isFirst] of [["Maximum", tf.greaterEqual], ["Minimum", tf.lessEqual]] as const) {
  tf.registerGradient({
    kernelName,
    inputsToSave: ["a", "b"],
    gradFunc: (dy, saved) => {
      const [a, b] = saved as [Tensor, Tensor];
      const first = (): Tensor => tf.cast(isFirst(a, b), "float32");
      return {
        a: () => unbroadcast(tf.mul(dy as Tensor, first()), a.shape),
        b: () => unbroadcast(tf.mul(dy as Tensor, tf.sub(1, first())), b.shape),
      };
    },
  });
}

tf.registerGradient({
  kernelName: "SquaredDifference",
  inputsToSave: ["a", "b"],
  gradFunc: (dy, saved) => {
    const [a, b] = saved as [Tensor, Tensor];
    const slope = (): Tensor => tf.mul(tf.mul(dy as Tensor, 2), tf.sub(a, b));
    return { a: () => unbroadcast(slope(), a.shape), b: () => unbroadcast(tf.neg(slope()), b.shape) };
  },
});

tf.registerGradient({
  kernelName: "Cumsum",
  gradFunc: (dy, _saved, attributes) => {
    const { axis, exclusive, reverse } = attributes as unknown as { axis: number; exclusive: boolean; reverse: boolean };
    return { x: () => tf.cumsum(dy as Tensor, axis, exclusive, !reverse) };
  },
});

tf.registerGradient({
  kernelName: "Unpack",
  gradFunc: (dys, _saved, attributes) => {
    const { axis } = attributes as unknown as { axis: number };
    const pieces = dys as Tensor[];
    return { value: () => tf.stack(pieces, axis < 0 ? axis + (pieces[0] as Tensor).rank + 1 : axis) };
  },
});

for (const kernelName of ["Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual", "LogicalAnd", "LogicalOr"]) {
  tf.registerGradient({
    kernelName,
    inputsToSave: ["a", "b"],
    gradFunc: (_dy, [a, b]) => ({ a: () => tf.zeros((a as Tensor).shape), b: () => tf.zeros((b as Tensor).shape) }),
  });
}
register("LogicalNot", (_dy, x) => tf.zeros(x.shape)); // of float32: TensorFlow.js refuses a gradient of bool
