/** Gradients of kernels that move or look up elements. */
import { type Attributes, BACKEND } from "../backend.ts";
import { tf, type Tensor, type Tensor2D } from "../tfjs.ts";
import { noGradient, register, registerByParts, registerUnary } from "./register.ts";
import { elements } from "../weights.ts";

// TensorFlow.js's fail for a single piece, that of unstack along a negative axis too.
tf.registerGradient({
  kernelName: "SplitV",
  gradFunc: (dys, _saved, attributes) => ({ x: () => tf.concat([dys].flat() as Tensor[], attributes.axis as number) }),
});
tf.registerGradient({
  kernelName: "Unpack",
  gradFunc: (dys, _saved, attributes) => {
    const { axis } = attributes as unknown as { axis: number };
    const pieces = [dys].flat() as Tensor[]; // a single piece comes alone
    return { value: () => tf.stack(pieces, axis < 0 ? axis + (pieces[0] as Tensor).rank + 1 : axis) };
  },
});

// TensorFlow.js adds up slices, of at most four axes: here the repetitions are summed as axes of their own.
registerUnary("Tile", (dy, x, { reps }) => {
  if (tf.getBackend() !== BACKEND) return summedInTurn(dy, x.shape, reps);
  const split: number[] = [];
  const repeated: number[] = [];
  for (const [i, n] of x.shape.entries()) {
    if (reps[i] !== 1) repeated.push(split.push(reps[i] as number) - 1);
    split.push(n);
  }
  return repeated.length > 0 ? tf.sum(tf.reshape(dy, split), repeated) : tf.clone(dy);
});

/** The same an axis at a time: TensorFlow broadcasts few axes, as the gradient of a sum over many does. */
function summedInTurn(dy: Tensor, shape: readonly number[], reps: readonly number[]): Tensor {
  let left = dy;
  for (const [i, n] of shape.entries()) {
    const [before, after] = [left.shape.slice(0, i), left.shape.slice(i + 1)];
    const inner = n * elements(after);
    if (reps[i] !== 1) left = tf.reshape(tf.sum(tf.reshape(left, [-1, reps[i] as number, inner]), 1), [...before, n, ...after]);
  }
  return left === dy ? tf.clone(dy) : left;
}

/** Lookups with `batchDims`, as one lookup in the tables of all batches laid one after another. */
function gatherBatched(x: Tensor, indices: Tensor, { axis, batchDims = 0 }: Attributes): Tensor {
  const size = tf.util.sizeFromShape;
  const [batch, outer, inner] = [x.shape.slice(0, batchDims), x.shape.slice(batchDims, axis), x.shape.slice(axis + 1)];
  const [b, o, d, k, s] = [size(batch), size(outer), x.shape[axis] as number, indices.size / size(batch), size(inner)];
  const tables = tf.reshape(tf.transpose(tf.reshape(x, [b, o, d, s]), [0, 2, 1, 3]), [b * d, o, s]);
  const offsets = tf.mul(tf.range(0, b, 1, "int32"), tf.scalar(d, "int32"));
  const ids = tf.add(tf.reshape(indices, [b, k]), tf.reshape(offsets, [b, 1])) as Tensor2D;
  const rows = tf.transpose(tf.gather(tables, ids), [0, 2, 1, 3]);
  return tf.reshape(rows, [...batch, ...outer, ...indices.shape.slice(batchDims), ...inner]);
}

const gather = tf.getGradient("GatherV2");
register({
  kernelName: "GatherV2",
  saves: ["x", "indices"],
  by: (dy, saved, attributes) => {
    const { x, indices } = saved as { x: Tensor; indices: Tensor };
    const axis = tf.util.parseAxisParam(attributes.axis, x.shape)[0] as number;
    const settled = { ...attributes, axis };
    const batched = (t: Tensor): Tensor => gatherBatched(t, indices, settled);
    return {
      x: () => (attributes.batchDims ? tf.grad(batched)(x, dy) : (gather.gradFunc(dy, [x, indices], settled as never).x as () => Tensor)()),
      indices: noGradient(indices),
    };
  },
});

// These three have no gradient in TensorFlow.js.
register({
  kernelName: "GatherNd",
  saves: ["params", "indices"],
  by: (dy, saved) => {
    const { params, indices } = saved as { params: Tensor; indices: Tensor };
    return { params: () => tf.scatterND(indices, dy, params.shape as never), indices: noGradient(indices) };
  },
});
register({
  kernelName: "ScatterNd",
  saves: ["indices"],
  by: (dy, { indices }) => ({ updates: () => tf.gatherND(dy, indices as Tensor), indices: noGradient(indices as Tensor) }),
});
registerByParts("StridedSlice", ["x"], ({ x }, a) => {
  const input = x as Tensor;
  const { begin, strides, finalShapeSparse, finalShape } = tf.slice_util.sliceInfo(
    input.shape,
    a.begin,
    a.end,
    a.strides,
    a.beginMask,
    a.endMask,
    a.ellipsisMask,
    a.newAxisMask,
    a.shrinkAxisMask,
  );
  const taken = finalShapeSparse.reduce((t, length, axis) => {
    const places = Array.from({ length }, (_, i) => (begin[axis] as number) + i * (strides[axis] as number));
    return length === t.shape[axis] && strides[axis] === 1 ? t : tf.gather(t, tf.tensor1d(places, "int32"), axis);
  }, input);
  return tf.reshape(taken, finalShape);
});
