/** Programs as models for other runtimes: what one traced graph answers for batches that it was not traced for. */
import { InferenceSession, Tensor } from "onnxruntime-node";
import { type PortableSpec, portableModel } from "../../engine/portable.ts";
import { fieldsOf } from "../../engine/protobuf.ts";
import { type Tensor as Traced, tf } from "../../engine/tfjs.ts";
import { toHalf } from "../../schemas/numbers/half.ts";
import { assert, suite } from "../harness.ts";

const test = suite("portable models");

/** Runs a model of one input x, [batch, ...]. */
async function answered(model: Uint8Array, x: number[], shape: number[]): Promise<Tensor> {
  const session = await InferenceSession.create(model);
  const { y } = await session.run({ x: new Tensor(Float32Array.from(x), shape) });
  await session.release();
  return y!;
}

/** x beside itself, twice the batch, as guidance has it; then both halves' difference from the row's mean, with ones of the batch. */
const shapes: PortableSpec = {
  name: "shapes",
  weights: { set: { w: { shape: [2, 2], data: Float32Array.of(1, 0, 0, 1) } } },
  inputs: { x: { shape: [2, 2] } },
  run: ({ set = {} }, { x }) => {
    const rows = x!.shape[0] as number;
    const both = tf.concat([x!, x!]);
    const flat = tf.matMul(tf.reshape(both, [rows * 4, 2]) as never, set.w as never) as Traced;
    const [first] = tf.split(tf.reshape(flat, [2 * rows, 2, 2]), 2) as Traced[];
    const level = tf.reshape(tf.mul(tf.ones([rows]), 3), [-1, 1, 1]);
    return { y: tf.add(tf.sub(first!, tf.mean(x!, [1, 2], true)), level) as Traced };
  },
};

test("one graph serves any batch", async () => {
  const model = portableModel(shapes).whole();
  for (const rows of [1, 2, 5, 12]) {
    const x = Array.from({ length: rows * 4 }, (_, i) => i ** 2 % 7);
    const y = await answered(model, x, [rows, 2, 2]);
    assert.equal([...y.dims], [rows, 2, 2]);
    const expected = x.map((value, i) => {
      const row = Math.floor(i / 4) * 4;
      return value - (x[row]! + x[row + 1]! + x[row + 2]! + x[row + 3]!) / 4 + 3;
    });
    assert.ok(expected.every((value, i) => Math.abs(value - (y.data[i] as number)) < 1e-5));
  }
});

test("a graph whose constants follow the batch is refused, with the place", () => {
  const run: PortableSpec["run"] = (_, { x }) => ({ y: tf.mul(x!, 1 / (x!.shape[0] as number)) as Traced });
  assert.throws(
    () => portableModel({ name: "share", weights: {}, inputs: { x: { shape: [2] } }, run }),
    /^Cannot make program "share" one for any batch: a constant differs at its Mul/,
  );
});

test("half weights are stored as halves and read as float32", async () => {
  const values = Float32Array.of(0.1, 1, -2, 65504);
  const weights = { set: { w: { shape: [4], data: toHalf(values) } } };
  const run: PortableSpec["run"] = ({ set }, { x }) => ({ y: tf.mul(x!, set!.w!) as Traced });
  const model = portableModel({ name: "half", weights, inputs: { x: { shape: [4] } }, run });
  assert.is(model.weightBytes, 8);
  const y = await answered(model.whole(), [1, 1, 1, 1], [1, 4]);
  assert.equal([...(y.data as Float32Array)], [0.0999755859375, 1, -2, 65504]); // IEEE's nearest half to 0.1
});

test("a model declares ONNX's own operators alone, and a convolution is one", () => {
  const weights = { set: { kernel: { shape: [3, 3, 32, 32], data: new Float32Array(9 * 32 * 32) } } };
  const run: PortableSpec["run"] = ({ set }, { x }) => ({ y: tf.conv2d(x as never, set!.kernel as never, 1, "same") as Traced });
  const bytes = portableModel({ name: "conv", weights, inputs: { x: { shape: [8, 8, 32] } }, run }).whole();
  const model = fieldsOf(bytes);
  const fields = (of: number, among = model) => among.filter(({ field }) => field === of).map(({ value }) => value as Uint8Array);
  const words = (bytes: Uint8Array[]) => bytes.map((word) => Buffer.from(word).toString());
  const opsets = fields(8).map((opset) => fieldsOf(opset));
  assert.equal(
    opsets.map((opset) => [...words(fields(1, opset)), ...opset.flatMap(({ field, value }) => (field === 2 ? [value] : []))]),
    [["", 17n]],
  );
  const nodes = fields(1, fieldsOf(fields(7)[0]!)).map((node) => fieldsOf(node));
  assert.is(nodes.flatMap((node) => words(fields(4, node))).filter((operator) => operator === "Conv").length, 1);
  assert.equal(
    nodes.flatMap((node) => fields(7, node)),
    [],
  ); // no domain
});

test.run();
