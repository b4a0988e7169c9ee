/** Elementwise kernels. A broadcast operand stays small: the operator runs on what it repeats. */
import { translate } from "../backend.ts";
import { type DType, type Graph, sameShape, type Value } from "../graph.ts";
import { tf } from "../tfjs.ts";

const broadcast = (a: number[], b: number[]): number[] => tf.broadcast_util.assertAndGetBroadcastShape(a, b);

/** The smallest value that repeats to `value`. */
const core = (value: Value): Value => (value.broadcastOf ? core(value.broadcastOf) : value);

/** `value` repeated to `shape`, without making its elements. */
export function spread(value: Value, shape: number[]): Value {
  return sameShape(value.shape, shape) ? value : { shape, dtype: value.dtype, broadcastOf: core(value) };
}

/** The single element of a constant scalar, or of a constant repeated. */
function element(value: Value): number | undefined {
  const { constant } = core(value);
  return constant?.length === 1 ? Number(constant[0]) : undefined;
}

/** Applies an ONNX operator elementwise with broadcasting; the result has the broadcast shape of all operands. */
export function elementwise(graph: Graph, op: string, operands: Value[], dtype: DType, attributes = {}): Value {
  const shape = operands.map((v) => v.shape).reduce(broadcast);
  const cores = operands.map(core);
  const small = cores.map((v) => v.shape).reduce(broadcast);
  return spread(graph.add(op, cores, small, dtype, attributes), shape);
}

const FOLD: Record<string, (a: number, b: number) => number> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => a / b,
};

/** Arithmetic with the identities that gradients are full of: x + 0, x * 1, and scalars known while tracing. */
export function arithmetic(graph: Graph, op: "Add" | "Sub" | "Mul" | "Div", a: Value, b: Value): Value {
  const shape = broadcast(a.shape, b.shape);
  const [x, y] = [element(a), element(b)];
  const isFloat = a.dtype === "float32";
  if (isFloat && x !== undefined && y !== undefined) {
    const fold = FOLD[op] as (a: number, b: number) => number;
    return spread(graph.scalar(Math.fround(fold(x, y))), shape);
  }
  if (y === (op === "Add" || op === "Sub" ? 0 : 1)) return spread(a, shape);
  if (x === (op === "Add" ? 0 : 1) && (op === "Add" || op === "Mul")) return spread(b, shape);
  return elementwise(graph, op, [a, b], a.dtype);
}

for (const [kernel, op] of [
  ["Add", "Add"],
  ["Sub", "Sub"],
  ["Multiply", "Mul"],
  ["RealDiv", "Div"],
] as const) {
  translate(kernel, ({ a, b }, _, graph) => arithmetic(graph, op, a as Value, b as Value));
}
translate("AddN", (inputs, _, graph) => Object.values(inputs).reduce((a, b) => arithmetic(graph, "Add", a, b)));
translate("Square", ({ x }, _, graph) => arithmetic(graph, "Mul", x as Value, x as Value));
translate("SquaredDifference", ({ a, b }, _, graph) => {
  const difference = arithmetic(graph, "Sub", a as Value, b as Value);
  return arithmetic(graph, "Mul", difference, difference);
});

for (const [kernel, op] of Object.entries({ Maximum: "Max", Minimum: "Min", Pow: "Pow" })) {
  translate(kernel, ({ a, b }, _, graph) => elementwise(graph, op, [a as Value, b as Value], (a as Value).dtype));
}

/** tfjs answers int32 for every dtype. ONNX divides integers towards zero: one less where a remainder of the other sign is left. */
translate("FloorDiv", (inputs, _, graph) => {
  const [a, b] = [inputs.a as Value, inputs.b as Value];
  const quotient = elementwise(graph, "Div", [a, b], a.dtype);
  if (a.dtype === "float32") return cast(graph, elementwise(graph, "Floor", [quotient], "float32"), "int32");
  const sign = (x: Value): Value => elementwise(graph, "Sign", [x], a.dtype);
  const signs = elementwise(graph, "Mul", [sign(elementwise(graph, "Mod", [a, b], a.dtype, { fmod: 1 })), sign(b)], a.dtype);
  const opposite = elementwise(graph, "Less", [signs, graph.scalar(0, a.dtype)], "bool");
  return elementwise(graph, "Sub", [quotient, cast(graph, opposite, a.dtype)], a.dtype);
});
/** The remainder with the sign of the divisor, by the steps of tfjs: % where the signs agree, else (% + b) % b. */
translate("Mod", (inputs, _, graph) => {
  const [a, b] = [inputs.a as Value, inputs.b as Value];
  const rest = (x: Value): Value => elementwise(graph, "Mod", [x, b], a.dtype, { fmod: 1 });
  const negative = (x: Value): Value => elementwise(graph, "Less", [x, graph.scalar(0, a.dtype)], "bool");
  const agree = elementwise(graph, "Equal", [negative(a), negative(b)], "bool");
  return elementwise(graph, "Where", [agree, rest(a), rest(arithmetic(graph, "Add", rest(a), b))], a.dtype);
});
/** The angle of (b, a) from the arc tangent of the smaller over the larger coordinate, which is never above 1. */
translate("Atan2", (inputs, _, graph) => {
  const [a, b] = [inputs.a as Value, inputs.b as Value];
  const of = (op: string, ...operands: Value[]): Value => elementwise(graph, op, operands, "float32");
  const is = (op: string, x: Value, y: Value): Value => elementwise(graph, op, [x, y], "bool");
  const number = (value: number): Value => graph.scalar(value);
  const [y, x] = [of("Abs", a), of("Abs", b)];
  const larger = of("Max", x, y);
  const acute = of("Atan", of("Div", of("Min", x, y), of("Where", is("Equal", larger, number(0)), number(1), larger)));
  const steep = of("Where", is("Greater", y, x), of("Sub", number(Math.PI / 2), acute), acute);
  const wide = of("Where", is("Less", b, number(0)), of("Sub", number(Math.PI), steep), steep);
  return of("Where", is("Less", a, number(0)), of("Neg", wide), wide);
});

const COMPARISONS = {
  Equal: "Equal",
  Greater: "Greater",
  GreaterEqual: "GreaterOrEqual",
  Less: "Less",
  LessEqual: "LessOrEqual",
  LogicalAnd: "And",
  LogicalOr: "Or",
};
for (const [kernel, op] of Object.entries(COMPARISONS)) {
  translate(kernel, ({ a, b }, _, graph) => elementwise(graph, op, [a as Value, b as Value], "bool"));
}
translate("NotEqual", ({ a, b }, _, graph) =>
  elementwise(graph, "Not", [elementwise(graph, "Equal", [a as Value, b as Value], "bool")], "bool"),
);
translate("LogicalNot", ({ x }, _, graph) => elementwise(graph, "Not", [x as Value], "bool"));
translate("IsNan", ({ x }, _, graph) => elementwise(graph, "IsNaN", [x as Value], "bool"));
translate("IsInf", ({ x }, _, graph) => elementwise(graph, "IsInf", [x as Value], "bool"));
translate("IsFinite", ({ x }, _, graph) => {
  const [nan, infinite] = ["IsNaN", "IsInf"].map((op) => elementwise(graph, op, [x as Value], "bool"));
  return elementwise(graph, "Not", [elementwise(graph, "Or", [nan as Value, infinite as Value], "bool")], "bool");
});

const UNARY = [
  ["Neg", "Exp", "Log", "Tanh", "Sqrt", "Sigmoid", "Relu", "Abs", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh"],
  ["Asinh", "Acosh", "Atanh", "Erf", "Softplus", "Reciprocal", "Sign", "Floor", "Ceil", "Round"],
].flat();
for (const op of UNARY) translate(op, ({ x }, _, graph) => elementwise(graph, op, [x as Value], (x as Value).dtype));

translate("Rsqrt", ({ x }, _, graph) => elementwise(graph, "Reciprocal", [elementwise(graph, "Sqrt", [x as Value], "float32")], "float32"));
translate("LeakyRelu", ({ x }, { alpha }, graph) =>
  elementwise(graph, "LeakyRelu", [x as Value], "float32", { alpha: { float: alpha ?? 0.2 } }),
);
translate("Prelu", ({ x, alpha }, _, graph) => {
  const [input, slope] = [x as Value, alpha as Value];
  const negative = elementwise(graph, "Less", [input, graph.scalar(0)], "bool");
  return elementwise(graph, "Where", [negative, arithmetic(graph, "Mul", input, slope), input], "float32");
});
// The constants of tfjs-core's selu_util.ts (Klambauer et al. 2017).
const SCALE = 1.0507009873554805;
const SELU = { alpha: { float: 1.7580993408473768 / SCALE }, gamma: { float: SCALE } };
translate("Selu", ({ x }, _, graph) => elementwise(graph, "Selu", [x as Value], "float32", SELU));
translate("Elu", ({ x }, _, graph) => elementwise(graph, "Elu", [x as Value], "float32"));
translate("Expm1", ({ x }, _, graph) => arithmetic(graph, "Sub", elementwise(graph, "Exp", [x as Value], "float32"), graph.scalar(1)));
translate("Log1p", ({ x }, _, graph) => elementwise(graph, "Log", [arithmetic(graph, "Add", x as Value, graph.scalar(1))], "float32"));

const clip = (graph: Graph, x: Value, low: number, high: number): Value =>
  elementwise(graph, "Min", [elementwise(graph, "Max", [x, graph.scalar(low)], x.dtype), graph.scalar(high)], x.dtype);
translate("ClipByValue", ({ x }, { clipValueMin, clipValueMax }, graph) => clip(graph, x as Value, clipValueMin, clipValueMax));
translate("Relu6", ({ x }, _, graph) => clip(graph, x as Value, 0, 6));

const ONNX_TYPE: Record<string, number> = { float32: 1, int32: 6, int64: 7, bool: 9 };

/** `x` in another element type. */
export function cast(graph: Graph, x: Value, dtype: DType): Value {
  return x.dtype === dtype ? x : elementwise(graph, "Cast", [x], dtype, { to: ONNX_TYPE[dtype] as number });
}
translate("Cast", ({ x }, { dtype }, graph) => cast(graph, x as Value, dtype));
translate("Step", ({ x }, { alpha }, graph) => {
  const positive = elementwise(graph, "Greater", [x as Value, graph.scalar(0)], "bool");
  const ones = cast(graph, positive, "float32");
  const slope = alpha ?? 0;
  return slope === 0 ? ones : elementwise(graph, "Where", [positive, graph.scalar(1), graph.scalar(slope)], "float32");
});
translate("Select", ({ condition, t, e }, _, graph) =>
  elementwise(graph, "Where", [condition as Value, t as Value, e as Value], (t as Value).dtype),
);

translate("Identity", ({ x }) => x as Value);
translate("Fill", (_, { shape, value, dtype }, graph) => spread(graph.scalar(value, dtype ?? "float32"), shape));
translate("ZerosLike", ({ x }, _, graph) => spread(graph.scalar(0, (x as Value).dtype), (x as Value).shape));
translate("OnesLike", ({ x }, _, graph) => spread(graph.scalar(1, (x as Value).dtype), (x as Value).shape));
