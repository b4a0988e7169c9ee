/**
 * For every kernel that a program may emit a random operation that emits it: the cases of the parity test and what the
 * coverage table is made from. Loaded by the double-precision worker too, so nothing here loads ONNX Runtime.
 */
import { tf, type Tensor, type Tensor1D, type Tensor3D, type Tensor4D, type Tensor5D } from "../../engine/tfjs.ts";
import type { Draw } from "./draw.ts";

export interface Specimen {
  shapes: number[][];
  body: (...tensors: Tensor[]) => Tensor;
  /** Where inputs lie; [-2, 2] unless told. */
  range?: readonly [number, number];
  /** False for what has no gradient by nature: results that are whole numbers or truths. */
  gradient?: false;
  /** What tells this case from others of its kernel, for messages. */
  about?: string;
}

type Maker = (draw: Draw) => Specimen;
type Named = Record<string, (...given: never[]) => Tensor>;
const named = tf as unknown as Named;
const call = (name: string, ...given: unknown[]): Tensor => (named[name] as (...given: unknown[]) => Tensor)(...given);
const image = (t: Tensor | undefined): Tensor4D => t as Tensor4D;

const unary =
  (name: string, range?: readonly [number, number]): Maker =>
  (draw) => ({
    shapes: [draw.shape(0, 4)],
    body: (x) => call(name, x),
    ...(range && { range }),
  });

/** Two shapes that broadcast against each other. */
function pair(draw: Draw): number[][] {
  const whole = draw.shape(0, 4);
  return draw
    .shuffled([whole, whole.slice(draw.int(0, whole.length)).map((n) => (draw.chance(0.3) ? 1 : n))])
    .map((shape) => shape.map((n) => (draw.chance(0.1) ? 1 : n)));
}
const binary =
  (name: string, range?: readonly [number, number], options: Partial<Specimen> = {}): Maker =>
  (draw) => ({
    shapes: pair(draw),
    body: (a, b) => call(name, a, b),
    ...(range && { range }),
    ...options,
  });
/** Whole numbers of both signs, by odd ones. */
const integers = (name: string): Maker =>
  binary(name, [-9, 9], {
    gradient: false,
    about: "int32",
    body: (a, b) =>
      call(
        name,
        tf.cast(a as Tensor, "int32"),
        tf.add(tf.mul(tf.cast(b as Tensor, "int32"), tf.scalar(2, "int32")), tf.scalar(1, "int32")),
      ),
  });
const compare = (name: string): Maker =>
  binary(name, [-2, 2], { gradient: false, body: (a, b) => call(name, tf.round(a as Tensor), tf.round(b as Tensor)) });
const positive = (t: Tensor | undefined): Tensor => tf.greater(t as Tensor, 0);
const logic =
  (name: string): Maker =>
  (draw) => ({ shapes: pair(draw), gradient: false, body: (a, b) => call(name, positive(a), positive(b)) });

/** Some axes of a shape, or all of them left unsaid. */
function someAxes(draw: Draw, shape: number[]): number | number[] | undefined {
  if (shape.length === 0 || draw.chance(0.2)) return undefined;
  if (draw.chance(0.4)) return draw.axis(shape);
  const axes = shape.map((_, i) => i).filter(() => draw.chance(0.5));
  return axes.length > 0 ? axes.map((axis) => (draw.chance(0.3) ? axis - shape.length : axis)) : undefined;
}
const reduction =
  (name: string, range?: readonly [number, number], truths = false): Maker =>
  (draw) => {
    const shape = draw.shape(1, 4);
    const [axis, keep] = [someAxes(draw, shape), draw.chance(0.5)];
    return {
      shapes: [shape],
      body: (x) => call(name, truths ? positive(x) : x, axis, keep),
      ...(range && { range }),
      ...(truths && { gradient: false }),
      about: `axis ${axis} keep ${keep}`,
    };
  };
const along =
  (name: string, minRank: number, rest: (draw: Draw) => unknown[] = () => [], options: Partial<Specimen> = {}): Maker =>
  (draw) => {
    const shape = draw.shape(minRank, 4);
    const axis = draw.axis(shape); // cumsum and cumprod of TensorFlow.js's CPU backend refuse those from the end
    const given = [name.startsWith("cum") && axis < 0 ? axis + shape.length : axis, ...rest(draw)];
    return { shapes: [shape], body: (x) => call(name, x, ...given), about: String(given), ...options };
  };
const lastAxis =
  (name: string): Maker =>
  (draw) => ({ shapes: [draw.shape(1, 4)], body: (x) => call(name, x) });

interface Windows {
  stride: [number, number];
  pad: "same" | "valid" | number;
  dilation: [number, number];
  rounding: "floor" | "ceil" | undefined;
}
/** Image [b, h, w, c], filter height and width, and how it slides; every window covers some of the image. */
function sliding(draw: Draw, dilated: boolean): Windows & { image: [number, number, number, number]; filter: [number, number] } {
  const padded = draw.chance(0.3);
  const two = (high: number): [number, number] => {
    const [a, b] = draw.ints(2, 1, high) as [number, number];
    return [a, padded ? a : b]; // with a numeric padding TensorFlow.js takes windows for square
  };
  const filter = two(3);
  const dilation: [number, number] = dilated ? two(3) : [1, 1];
  const stride: [number, number] = dilation.every((n) => n === 1) ? two(3) : [1, 1];
  const reach = filter.map((n, i) => (n - 1) * (dilation[i] as number) + 1) as [number, number];
  const pad = padded ? filter[0] - 1 : draw.pick(["same", "valid"] as const);
  const size = reach.map((n) => draw.int(n, 8)) as [number, number];
  const rounded = draw.pick(["floor", "ceil"] as const);
  const outside = (n: number, i: number): boolean => {
    // rounding up may add a window beyond the image
    const [f, s, p] = [reach[i] as number, stride[i] as number, filter[0] - 1];
    return Math.ceil((n - f + 2 * p) / s) * s - p >= n;
  };
  const rounding = !padded ? undefined : size.some(outside) ? "floor" : rounded;
  return { image: [draw.int(1, 2), ...size, draw.int(1, 3)], filter, dilation, stride, pad, rounding };
}
const told = ({ stride, pad, dilation, rounding }: Windows): string =>
  `stride ${stride}, pad ${pad} ${rounding ?? ""}, dilation ${dilation}`;

const convolution =
  (depthwise: boolean): Maker =>
  (draw) => {
    const w = sliding(draw, draw.chance(0.5));
    const kernel = [...w.filter, w.image[3], draw.int(1, 3)];
    const convolve = depthwise ? tf.depthwiseConv2d : tf.conv2d;
    return {
      shapes: [w.image, kernel],
      about: told(w),
      body: (x, k) => convolve(image(x), image(k), w.stride, w.pad, "NHWC", w.dilation, w.rounding as never),
    };
  };
const pooling =
  (name: "avgPool" | "maxPool"): Maker =>
  (draw) => {
    const w = sliding(draw, false);
    return {
      shapes: [w.image],
      about: `${w.filter} ${told(w)}`,
      body: (x) => tf[name](image(x), w.filter, w.stride, w.pad, w.rounding as never),
    };
  };
const volume = (draw: Draw) => {
  const filter = draw.ints(3, 1, 3) as [number, number, number];
  return {
    shape: [draw.int(1, 2), ...filter.map((n) => draw.int(n, 5)), draw.int(1, 2)],
    filter,
    stride: draw.ints(3, 1, 2) as [number, number, number],
    pad: draw.pick(["same", "valid"] as const),
  };
};
const pooling3d =
  (name: "avgPool3d" | "maxPool3d"): Maker =>
  (draw) => {
    const { shape, filter, stride, pad } = volume(draw);
    return { shapes: [shape], about: `${filter} stride ${stride} ${pad}`, body: (x) => tf[name](x as Tensor5D, filter, stride, pad) };
  };
const resizing =
  (name: "resizeBilinear" | "resizeNearestNeighbor"): Maker =>
  (draw) => {
    const [size, [corners, half]] = [
      draw.ints(2, 1, 8) as [number, number],
      draw.pick([
        [true, false],
        [false, true],
        [false, false],
      ] as const),
    ];
    return {
      shapes: [[draw.int(1, 2), draw.int(1, 6), draw.int(1, 6), draw.int(1, 3)]],
      about: `to ${size} ${corners} ${half}`,
      body: (x) => tf.image[name](image(x), size, corners, half),
    };
  };
const blocks = (draw: Draw): { block: [number, number]; space: number[]; edges: [number, number][] } => {
  const block = draw.ints(2, 1, 3) as [number, number];
  const edges = block.map((n) => [draw.int(0, n), draw.int(0, n)] as [number, number]);
  return { block, edges, space: block.map((n, i) => n * draw.int(2, 3) + (edges[i] as number[])[0]! + (edges[i] as number[])[1]!) };
};
const fused =
  (make: (activation: "linear" | "relu" | "elu" | "relu6" | "sigmoid", draw: Draw) => Specimen): Maker =>
  (draw) =>
    make(draw.pick(["linear", "relu", "elu", "relu6", "sigmoid"] as const), draw);

/** Makes a tensor of whole numbers from draws made now, since a body runs several times. */
const later = (values: number[], shape: number[]) => (): Tensor => tf.tensor(values, shape, "int32");
const laterIds = (draw: Draw, shape: number[], below: number) =>
  later(
    draw.ints(
      shape.reduce((a, b) => a * b, 1),
      0,
      below - 1,
    ),
    shape,
  );

export const specimens: Record<string, Maker> = {
  Abs: unary("abs"),
  Acos: unary("acos", [-0.9, 0.9]),
  Acosh: unary("acosh", [1.2, 4]),
  Add: binary("add"),
  AddN: (draw) => ({ shapes: new Array(draw.int(1, 4)).fill(draw.shape(0, 3)), body: (...t) => tf.addN(t) }),
  All: reduction("all", [-1, 4], true),
  Any: reduction("any", [-4, 1], true),
  ArgMax: along("argMax", 1, () => [], { gradient: false }),
  ArgMin: along("argMin", 1, () => [], { gradient: false }),
  Asin: unary("asin", [-0.9, 0.9]),
  Asinh: unary("asinh", [-4, 4]),
  Atan: unary("atan", [-4, 4]),
  Atan2: binary("atan2"),
  Atanh: unary("atanh", [-0.9, 0.9]),
  AvgPool: pooling("avgPool"),
  AvgPool3D: pooling3d("avgPool3d"),
  BatchMatMul: (draw) => {
    const [m, k, n] = draw.ints(3, 1, 5) as [number, number, number];
    const [turnA, turnB, batch] = [draw.chance(0.5), draw.chance(0.5), draw.shape(0, 2)];
    const leading = draw.int(0, batch.length); // TensorFlow.js's CPU backend broadcasts leading axes only
    const other = draw.chance(0.5) ? batch.map((size, i) => (i < leading ? 1 : size)) : batch.slice(leading);
    const shapes = [
      [...batch, ...(turnA ? [k, m] : [m, k])],
      [...other, ...(turnB ? [n, k] : [k, n])],
    ];
    return { shapes, body: (a, b) => tf.matMul(a as Tensor, b as Tensor, turnA, turnB), about: `${turnA} ${turnB}` };
  },
  BatchToSpaceND: (draw) => {
    const { block, space, edges } = blocks(draw);
    const inner = space.map((n, i) => n - edges[i]![0] - edges[i]![1]);
    const whole = inner.map((n, i) => n / block[i]! + 2);
    return {
      shapes: [[block[0] * block[1] * draw.int(1, 2), ...whole, draw.int(1, 2)]],
      body: (x) =>
        tf.batchToSpaceND(
          x as Tensor,
          block,
          edges.map(([a, b], i) => [Math.min(a, block[i]!), Math.min(b, block[i]!)]),
        ),
    };
  },
  Cast: (draw) => {
    const dtype = draw.pick(["int32", "bool"] as const);
    return {
      shapes: [draw.shape(0, 3)],
      gradient: false,
      range: [-9, 9],
      body: (x) => tf.cast(tf.cast(tf.relu(x as Tensor), dtype), "float32"),
      about: dtype,
    };
  },
  Ceil: unary("ceil"),
  ClipByValue: (draw) => {
    const low = draw.pick([-1, -0.3, 0]);
    return { shapes: [draw.shape(0, 3)], body: (x) => tf.clipByValue(x as Tensor, low, 0.9) };
  },
  Concat: (draw) => {
    const shape = draw.shape(1, 4);
    const axis = draw.axis(shape);
    const at = axis < 0 ? axis + shape.length : axis;
    const shapes = Array.from({ length: draw.int(1, 4) }, () => shape.map((n, i) => (i === at ? draw.int(1, 3) : n)));
    return { shapes, body: (...t) => tf.concat(t, axis), about: `axis ${axis}` };
  },
  Conv2D: convolution(false),
  Conv2DBackpropInput: (draw) => {
    const [stride, pad] = [draw.int(1, 3), draw.pick(["same", "valid"] as const)];
    const [b, h, w, c, m, f] = draw.ints(6, 1, 3) as [number, number, number, number, number, number];
    const grown = (n: number): number => (pad === "same" ? n * stride : (n - 1) * stride + f);
    const shape: [number, number, number, number] = [b, grown(h), grown(w), c];
    return {
      shapes: [
        [b, h, w, m],
        [f, f, c, m],
      ],
      body: (x, k) => tf.conv2dTranspose(image(x), image(k), shape, stride, pad),
      about: `stride ${stride} ${pad}`,
    };
  },
  Conv3D: (draw) => {
    const { shape, filter, stride, pad } = volume(draw);
    return {
      shapes: [shape, [...filter, shape[4]!, draw.int(1, 2)]],
      body: (x, k) => tf.conv3d(x as Tensor5D, k as Tensor5D, stride, pad),
      about: `stride ${stride} ${pad}`,
    };
  },
  Cos: unary("cos", [-4, 4]),
  Cosh: unary("cosh"),
  Cumprod: along("cumprod", 1, (draw) => [draw.chance(0.5), draw.chance(0.5)]),
  Cumsum: along("cumsum", 1, (draw) => [draw.chance(0.5), draw.chance(0.5)]),
  DepthToSpace: (draw) => {
    const n = draw.int(2, 3);
    return {
      shapes: [[draw.int(1, 2), draw.int(1, 3), draw.int(1, 3), n * n * draw.int(1, 2)]],
      body: (x) => tf.depthToSpace(image(x), n),
    };
  },
  DepthwiseConv2dNative: convolution(true),
  Dilation2D: (draw) => {
    const [f, g] = draw.ints(2, 1, 3) as [number, number];
    const [stride, pad] = [draw.int(1, 2), draw.pick(["same", "valid"] as const)];
    const c = draw.int(1, 2);
    return {
      shapes: [
        [draw.int(1, 2), draw.int(f, 6), draw.int(g, 6), c],
        [f, g, c],
      ],
      body: (x, k) => tf.dilation2d(image(x), k as Tensor3D, stride, pad),
      about: `stride ${stride} ${pad}`,
    };
  },
  Einsum: (draw) => {
    const labels = draw.shuffled([..."abcde"]);
    const size = Object.fromEntries(labels.map((label) => [label, draw.int(1, 3)]));
    const some = (from: string[], chance: number): string[] => draw.shuffled(from.filter(() => draw.chance(chance)));
    const terms = draw.chance(0.25) ? [some(labels, 0.6)] : [some(labels, 0.6), some(labels, 0.6)];
    if (terms.some((term) => term.length === 0)) terms.splice(0, 2, ["a", "b"], ["b", "c"]);
    const present = labels.filter((label) => terms.flat().includes(label));
    // A label that one of two operands alone has stays: TensorFlow.js's CPU backend leaves the other operand out when it sums it.
    const lonely = (label: string): boolean => terms.length === 2 && terms.filter((term) => term.includes(label)).length === 1;
    const out = draw.shuffled(present.filter((label) => lonely(label) || draw.chance(0.6)));
    if (terms.length === 1 && out.join() === terms[0]!.join()) out.pop(); // its CPU backend answers the input itself, which ruins the tape
    const equation = `${terms.map((term) => term.join("")).join()}->${out.join("")}`;
    return { shapes: terms.map((term) => term.map((label) => size[label]!)), body: (...t) => tf.einsum(equation, ...t), about: equation };
  },
  Elu: unary("elu"),
  Equal: compare("equal"),
  Erf: unary("erf"),
  Exp: unary("exp"),
  ExpandDims: (draw) => {
    const shape = draw.shape(0, 3);
    const axis = draw.int(-shape.length - 1, shape.length);
    return { shapes: [shape], body: (x) => tf.expandDims(x as Tensor, axis), about: `axis ${axis}` };
  },
  Expm1: unary("expm1"),
  Fill: (draw) => {
    const [shape, value] = [draw.shape(0, 3), draw.int(-3, 3)];
    return { shapes: [shape], body: (x) => tf.mul(x as Tensor, tf.fill(shape, value)) };
  },
  Floor: unary("floor"),
  FloorDiv: (draw) => (draw.chance(0.5) ? binary("floorDiv", [0.3, 4], { gradient: false })(draw) : integers("floorDiv")(draw)),
  FusedBatchNorm: (draw) => {
    const shape = [...draw.shape(1, 3), draw.int(1, 4)];
    const channels = [shape.at(-1)!];
    return {
      shapes: [shape, channels, channels, channels, channels],
      range: [0.3, 2],
      body: (x, ...[mean, variance, offset, scale]) =>
        tf.batchNorm(x as Tensor, mean as Tensor1D, variance as Tensor1D, offset as Tensor1D, scale as Tensor1D, 0.01),
    };
  },
  FusedConv2D: fused((activation, draw) => {
    const w = sliding(draw, false);
    const m = draw.int(1, 3);
    const pad = w.pad === "same" ? "same" : "valid";
    return {
      shapes: [w.image, [...w.filter, w.image[3], m], [m]],
      about: activation,
      body: (x, filter, bias) =>
        tf.fused.conv2d({ x: image(x), filter: image(filter), bias: bias as Tensor, strides: w.stride, pad, activation }) as Tensor,
    };
  }),
  FusedDepthwiseConv2D: fused((activation, draw) => {
    const w = sliding(draw, false);
    const pad = w.pad === "same" ? "same" : "valid";
    return {
      shapes: [w.image, [...w.filter, w.image[3], 1], [w.image[3]]],
      about: activation,
      body: (x, filter, bias) =>
        tf.fused.depthwiseConv2d({
          x: image(x),
          filter: image(filter),
          bias: bias as Tensor,
          strides: w.stride,
          pad,
          activation,
        }) as Tensor,
    };
  }),
  GatherNd: (draw) => {
    const shape = draw.shape(2, 4);
    const depth = draw.int(1, shape.length);
    const n = draw.int(1, 4);
    const at = later(Array.from({ length: n }, () => shape.slice(0, depth).map((m) => draw.int(0, m - 1))).flat(), [n, depth]);
    return { shapes: [shape], body: (x) => tf.gatherND(x as Tensor, at()) };
  },
  GatherV2: (draw) => {
    const shape = draw.shape(2, 4);
    const batchDims = draw.int(0, 2) % shape.length;
    const at = draw.int(batchDims, shape.length - 1);
    const axis = draw.chance(0.5) ? at : at - shape.length;
    const indices = laterIds(draw, [...shape.slice(0, batchDims), ...draw.shape(1, 2)], shape[at]!);
    return {
      shapes: [shape],
      body: (x) => tf.gather(x as Tensor, indices(), axis, batchDims),
      about: `axis ${axis} batchDims ${batchDims}`,
    };
  },
  Greater: compare("greater"),
  GreaterEqual: compare("greaterEqual"),
  Identity: unary("clone"),
  IsFinite: (draw) => ({ shapes: [draw.shape(1, 2)], gradient: false, body: (x) => tf.isFinite(tf.log(x as Tensor)) }),
  IsInf: (draw) => ({ shapes: [draw.shape(1, 2)], gradient: false, body: (x) => tf.isInf(tf.div(1, tf.relu(x as Tensor))) }),
  IsNan: (draw) => ({ shapes: [draw.shape(1, 2)], gradient: false, body: (x) => tf.isNaN(tf.log(x as Tensor)) }),
  LRN: (draw) => {
    const radius = draw.int(1, 3);
    return {
      shapes: [[draw.int(1, 2), 2, draw.int(1, 3), draw.int(1, 6)]],
      body: (x) => tf.localResponseNormalization(image(x), radius, 1.5, 0.7, 0.6),
      about: `radius ${radius}`,
    };
  },
  LeakyRelu: (draw) => {
    const alpha = draw.pick([undefined, 0, 0.1]);
    return { shapes: [draw.shape(0, 3)], body: (x) => tf.leakyRelu(x as Tensor, alpha), about: `alpha ${alpha}` };
  },
  Less: compare("less"),
  LessEqual: compare("lessEqual"),
  Log: unary("log", [0.3, 4]),
  Log1p: unary("log1p", [-0.5, 4]),
  LogicalAnd: logic("logicalAnd"),
  LogicalNot: (draw) => ({ shapes: [draw.shape(0, 3)], gradient: false, body: (x) => tf.logicalNot(positive(x)) }),
  LogicalOr: logic("logicalOr"),
  Max: reduction("max"),
  MaxPool: pooling("maxPool"),
  MaxPool3D: pooling3d("maxPool3d"),
  Maximum: binary("maximum"),
  Mean: reduction("mean"),
  Min: reduction("min"),
  Minimum: binary("minimum"),
  MirrorPad: (draw) => {
    const shape = draw.shape(1, 4);
    const mode = draw.pick(["reflect", "symmetric"] as const);
    const most = (n: number): number => (mode === "reflect" ? n - 1 : n);
    const paddings = shape.map((n) => [draw.int(0, most(n)), draw.int(0, most(n))] as [number, number]);
    return { shapes: [shape], body: (x) => tf.mirrorPad(x as Tensor, paddings, mode), about: `${mode} ${paddings}` };
  },
  Mod: (draw) => (draw.chance(0.7) ? binary("mod", [0.7, 3])(draw) : integers("mod")(draw)),
  Multiply: binary("mul"),
  Neg: unary("neg"),
  NotEqual: compare("notEqual"),
  OneHot: (draw) => {
    const n = draw.int(1, 4);
    const indices = later(draw.ints(n, 0, 3), [n]);
    return { shapes: [[n, 4]], body: (x) => tf.mul(x as Tensor, tf.oneHot(indices(), 4, 2, -1)) };
  },
  OnesLike: (draw) => ({ shapes: [draw.shape(0, 3)], body: (x) => tf.mul(x as Tensor, tf.onesLike(x as Tensor)) }),
  Pack: (draw) => {
    const shape = draw.shape(0, 3);
    const axis = draw.int(0, shape.length);
    return { shapes: new Array(draw.int(1, 3)).fill(shape), body: (...t) => tf.stack(t, axis), about: `axis ${axis}` };
  },
  PadV2: (draw) => {
    const shape = draw.shape(1, 4);
    const paddings = shape.map(() => draw.ints(2, 0, 2) as [number, number]);
    return { shapes: [shape], body: (x) => tf.pad(x as Tensor, paddings, 0.5) };
  },
  Pow: binary("pow", [0.4, 2]),
  Prelu: (draw) => {
    const shape = draw.shape(1, 4);
    return { shapes: [shape, shape.slice(draw.int(0, shape.length))], body: (x, alpha) => tf.prelu(x as Tensor, alpha as Tensor) };
  },
  Prod: reduction("prod"),
  Range: (draw) => {
    const n = draw.int(1, 5);
    return { shapes: [[n]], body: (x) => tf.mul(x as Tensor, tf.range(1, 1 + 2 * n, 2)) };
  },
  RealDiv: binary("div", [0.4, 3]),
  Reciprocal: unary("reciprocal", [0.4, 3]),
  Relu: unary("relu"),
  Relu6: unary("relu6", [-2, 8]),
  Reshape: (draw) => {
    const shape = draw.shape(1, 4);
    const other = draw.pick([[-1, shape[0]!], [...shape, 1], [-1]]);
    return { shapes: [shape], body: (x) => tf.reshape(x as Tensor, other), about: `to ${other}` };
  },
  ResizeBilinear: resizing("resizeBilinear"),
  ResizeNearestNeighbor: resizing("resizeNearestNeighbor"),
  Reverse: (draw) => {
    const shape = draw.shape(1, 4);
    const axes = shape
      .map((_, i) => i)
      .filter(() => draw.chance(0.6))
      .map((axis) => (draw.chance(0.3) ? axis - shape.length : axis));
    return { shapes: [shape], body: (x) => tf.reverse(x as Tensor, axes), about: `axes ${axes}` };
  },
  Round: unary("round"),
  Rsqrt: unary("rsqrt", [0.3, 3]),
  ScatterNd: (draw) => {
    const shape = draw.shape(2, 3);
    const n = draw.int(1, 6);
    const at = later(draw.ints(n, 0, shape[0]! - 1), [n, 1]);
    return { shapes: [[n, ...shape.slice(1)]], body: (x) => tf.scatterND(at(), x as Tensor, shape as never) };
  },
  Select: (draw) => {
    const shapes = pair(draw);
    return { shapes, body: (a, b) => tf.where(tf.greater(a as Tensor, 0), a as Tensor, tf.square(b as Tensor)) };
  },
  Selu: unary("selu"),
  Sigmoid: unary("sigmoid", [-4, 4]),
  Sign: unary("sign"),
  Sin: unary("sin", [-4, 4]),
  Sinh: unary("sinh"),
  Slice: (draw) => {
    const shape = draw.shape(1, 4);
    const begin = shape.map((n) => draw.int(0, n - 1));
    const size = shape.map((n, i) => (draw.chance(0.3) ? -1 : draw.int(1, n - begin[i]!)));
    return { shapes: [shape], body: (x) => tf.slice(x as Tensor, begin, size), about: `${begin} of ${size}` };
  },
  Softmax: lastAxis("softmax"),
  Softplus: unary("softplus", [-4, 4]),
  SpaceToBatchND: (draw) => {
    const { block, space, edges } = blocks(draw);
    const inner = space.map((n, i) => n - edges[i]![0] - edges[i]![1]);
    const outer = edges.map(([a], i) => [a, (block[i]! - (a % block[i]!)) % block[i]!] as [number, number]);
    return {
      shapes: [[draw.int(1, 2), ...inner, draw.int(1, 2)]],
      body: (x) => tf.spaceToBatchND(x as Tensor, block, outer),
      about: `${block} ${outer}`,
    };
  },
  SplitV: (draw) => {
    const shape = draw.shape(1, 3);
    const axis = draw.axis(shape);
    const sizes = draw.ints(draw.int(1, 9), 1, 2);
    shape[axis < 0 ? axis + shape.length : axis] = sizes.reduce((a, b) => a + b, 0);
    return {
      shapes: [shape],
      body: (x) =>
        tf.concat(
          (tf.split(x as Tensor, sizes, axis) as Tensor[]).map((t, i) => tf.mul(t, i + 1)),
          axis,
        ),
      about: `${sizes} axis ${axis}`,
    };
  },
  Sqrt: unary("sqrt", [0.3, 3]),
  Square: unary("square"),
  SquaredDifference: binary("squaredDifference"),
  Step: (draw) => {
    const alpha = draw.pick([0, 0.3]);
    return { shapes: [draw.shape(0, 3)], body: (x) => tf.step(x as Tensor, alpha) };
  },
  StridedSlice: (draw) => {
    const shape = draw.shape(1, 3);
    const strides = shape.map(() => draw.pick([1, 2, -1, -2]));
    const [begin, end] = [
      strides.map((s, i) => (s > 0 ? draw.int(0, shape[i]! - 1) : shape[i]! - 1)),
      strides.map((s, i) => (s > 0 ? shape[i]! : -shape[i]! - 1)),
    ];
    return { shapes: [shape], body: (x) => tf.stridedSlice(x as Tensor, begin, end, strides), about: `${begin} to ${end} by ${strides}` };
  },
  Sub: binary("sub"),
  Sum: reduction("sum"),
  Tan: unary("tan", [-1.2, 1.2]),
  Tanh: unary("tanh"),
  Tile: (draw) => {
    const shape = draw.shape(1, draw.chance(0.2) ? 6 : 4).map((n) => Math.min(n, 3));
    const reps = shape.map(() => draw.int(1, 2));
    return { shapes: [shape], body: (x) => tf.tile(x as Tensor, reps), about: `${reps}` };
  },
  Transpose: (draw) => {
    const shape = draw.shape(1, 5);
    const perm = draw.shuffled(shape.map((_, i) => i));
    return { shapes: [shape], body: (x) => tf.transpose(x as Tensor, perm), about: `${perm}` };
  },
  Unpack: (draw) => {
    const shape = draw.shape(1, 4);
    const axis = draw.axis(shape);
    return {
      shapes: [shape],
      body: (x) =>
        tf.stack(
          tf
            .unstack(x as Tensor, axis)
            .map((t, i) => tf.mul(t, i + 1))
            .reverse(),
        ),
      about: `axis ${axis}`,
    };
  },
  UnsortedSegmentSum: (draw) => {
    const shape = draw.shape(1, 3);
    const segments = laterIds(draw, [shape[0]!], 3);
    return { shapes: [shape], body: (x) => tf.unsortedSegmentSum(x as Tensor, segments() as Tensor1D, 4) };
  },
  ZerosLike: (draw) => ({ shapes: [draw.shape(0, 3)], body: (x) => tf.add(x as Tensor, tf.zerosLike(x as Tensor)) }),
  _FusedMatMul: fused((activation, draw) => {
    const [m, k, n] = draw.ints(3, 1, 5) as [number, number, number];
    return {
      shapes: [[m, k], [k, n], [n]],
      about: activation,
      body: (a, b, bias) => tf.fused.matMul({ a: a as Tensor, b: b as Tensor, bias: bias as Tensor, activation }),
    };
  }),
  // Operations that are made of others, some named like kernels that they do not emit.
  broadcastTo: (draw) => {
    const whole = draw.shape(1, 4);
    const shape = whole.slice(draw.int(0, whole.length)).map((n) => (draw.chance(0.5) ? 1 : n));
    return { shapes: [shape], body: (x) => tf.broadcastTo(x as Tensor, whole), about: `to ${whole}` };
  },
  logSigmoid: unary("logSigmoid", [-4, 4]),
  logSoftmax: lastAxis("logSoftmax"),
  softmaxCrossEntropy: (draw) => {
    const shape = draw.shape(2, 2); // it smooths by the length of axis 1
    const smoothing = draw.pick([0, 0.1]);
    const body = (...[logits, labels]: Tensor[]) =>
      tf.losses.softmaxCrossEntropy(tf.softmax(labels as Tensor), logits as Tensor, undefined, smoothing, tf.Reduction.NONE);
    return { shapes: [shape, shape], body: body as Specimen["body"], about: `smoothing ${smoothing}` };
  },
};
