/** Half precision: which products it takes, what it costs, and that a training survives overflow. */
import { createEngine, type Engine } from "../../engine/engine.ts";
import type { Node } from "../../engine/graph.ts";
import { halveProducts, soundInHalf } from "../../engine/precision.ts";
import { traceProgram } from "../../engine/trace.ts";
import { createSession, ort } from "../../engine/session.ts";
import { tf, type Tensor, type Tensor4D } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import type { OptimiserSettings } from "../../schemas/settings.ts";
import { createTraining } from "../../models/training/training.ts";
import { assert, suite } from "../harness.ts";
import { sample } from "./parity.ts";

const test = suite("precision");

const inputs = { x: [2, 6, 6, 3], k: [3, 3, 3, 4], w: [72, 5] };
const trace = () =>
  traceProgram({
    name: "products",
    sets: {},
    inputs: Object.fromEntries(Object.entries(inputs).map(([name, shape]) => [name, { shape }])),
    run: (_, { x, k, w }) => {
      const made = (t: Tensor): Tensor => tf.matMul(tf.reshape(tf.conv2d(x as Tensor4D, t as Tensor4D, 1, "same"), [4, 72]), w!);
      const { value, grad } = tf.valueAndGrad((t: Tensor) => tf.sum(tf.softmax(made(t))))(k!);
      return { outputs: { value, grad, y: made(k!) } };
    },
  });

test("products alone take float16, and give what they gave within its rounding", async () => {
  const { model, halved, products } = trace();
  const kinds = products();
  assert.ok(kinds.some(({ op }) => op === "Gemm") && kinds.length >= 3, kinds.map(({ key }) => key).join("\n"));
  const keys = new Set(kinds.map(({ key }) => key));
  assert.equal(halved(new Set()), model, "nothing is cast without leave");
  assert.ok(halved(keys).length > model.length);
  const outcomes = [];
  for (const bytes of [model, halved(keys)]) {
    const session = await createSession(bytes, { device: "cpu", threads: 1 });
    const feeds = Object.entries(inputs).map(([name, shape]) => [`in/${name}`, new ort.Tensor("float32", sample(name, shape), shape)]);
    outcomes.push(await session.run(Object.fromEntries(feeds)));
    await session.release();
  }
  const [single, half] = outcomes as [ort.InferenceSession.ReturnType, ort.InferenceSession.ReturnType];
  for (const [name, { data }] of Object.entries(single) as [string, ort.Tensor][]) {
    const values = data as Float32Array;
    const found = (half[name] as ort.Tensor).data as Float32Array;
    // ONNX Runtime has no such products on the CPU: it drops the casts, or rounds to float16 and multiplies in float32.
    assert.close(found, values, 0.01 * Math.max(...values.map(Math.abs)), name);
  }
});

test("an operand that two products share is cast once, and results are cast back", () => {
  const product = (output: string): Node => ({ op: "MatMul", inputs: ["a", "b"], outputs: [output], attributes: {} });
  const nodes = [product("y"), { op: "Add", inputs: ["y", "a"], outputs: ["s"], attributes: {} }, product("z")];
  const made = halveProducts(nodes, ({ op }) => op === "MatMul").map(({ op, inputs, outputs }) => `${outputs} = ${op} ${inputs}`);
  assert.equal(made, [
    "a/half = Cast a",
    "b/half = Cast b",
    "y/half = MatMul a/half,b/half",
    "y = Cast y/half",
    "s = Add y,a",
    "z/half = MatMul a/half,b/half",
    "z = Cast z/half",
  ]);
});

test("a product is sound where its sums are float32, and not where they are float16", async () => {
  const { sound, reason } = await soundInHalf(trace().products(), "cpu"); // ONNX Runtime sums in float32 there
  assert.is(sound.size, trace().products().length);
  assert.is(reason, undefined);
  const absent = await soundInHalf(
    [
      {
        op: "NoSuchProduct",
        attributes: {},
        shapes: [
          [2, 2],
          [2, 2],
        ],
        key: "none",
      },
    ],
    "cpu",
  );
  assert.is(absent.sound.size, 0);
  assert.match(absent.reason as string, /NoSuchProduct/);
});

test("a device without half precision refuses it, and says which has it", async () => {
  for (const device of ["cpu", "eager", "tensorflow"] as const) {
    await assert.rejects(createEngine({ device, precision: "half" }), new RegExp(`"half".*"${device}".*"webgpu" or "cuda"`));
  }
});

/** Training of w x -> y, whose engine says that it is in half precision or not. */
async function training(engine: Engine, options: { precision: "single" | "half"; accumulate?: number }) {
  const { precision, accumulate = 1 } = options;
  const weights: Weights = { w: { shape: [3], data: Float32Array.of(1, -1, 0.5) } };
  const settings = {
    steps: 9,
    batch: 4,
    accumulate,
    learningRate: 0.01,
    warmup: 1,
    decay: 0,
    beta1: 0.9,
    beta2: 0.99,
    weightDecay: 0,
    clip: 1,
    ema: 0.9,
  };
  const made = await createTraining({
    engine: { ...engine, precision },
    name: "step",
    weights,
    optimiser: settings as OptimiserSettings,
    inputs: { x: { shape: [4, 3] } },
    loss: ({ w }, { x }) => ({ loss: tf.mean(tf.square(tf.sum(tf.mul(x!, w!), 1))), metrics: {} }),
  });
  return made;
}

for (const accumulate of [1, 2]) {
  test(`the scaled loss gives the same update, and an overflow none (${accumulate} micro-batches)`, async () => {
    const engine = await createEngine({ device: "cpu", threads: 1 });
    const x = sample("x", [4, 3]);
    const [single, half] = [
      await training(engine, { precision: "single", accumulate }),
      await training(engine, { precision: "half", accumulate }),
    ];
    assert.equal(await half.step(0, { x }), await single.step(0, { x }));
    const { scaler, ...state } = await half.save();
    assert.equal(state, await single.save(), "scaled by a power of two: the same bits");
    assert.equal([scaler!.scale!.data[0], scaler!.streak!.data[0]], [2 ** 15, 1]);
    const { norm } = await half.step(1, { x: x.map((value) => value * 1e18) });
    assert.is(norm, 0);
    const { scaler: after, ...same } = await half.save();
    assert.equal(same, state, "a step that overflows changes nothing");
    assert.equal([after!.scale!.data[0], after!.streak!.data[0]], [2 ** 14, 0]);
    await half.load({
      ...state,
      scaler: { scale: { shape: [], data: Float32Array.of(8) }, streak: { shape: [], data: Float32Array.of(999) } },
    });
    await half.step(1, { x });
    assert.equal((await half.save()).scaler!.scale!.data[0], 16);
    await engine.dispose();
  });
}

test.run();
