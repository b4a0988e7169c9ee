/** What a compiled program cannot do: one sentence that names the operation, the line and what to do instead. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createEngine } from "../../engine/engine.ts";
import { placeOf } from "../../engine/errors.ts";
import { tf, type Tensor, type Tensor1D, type Tensor2D, type Tensor4D } from "../../engine/tfjs.ts";
import { assert, suite } from "../harness.ts";

const test = suite("errors");
const engine = await createEngine({ device: "cpu", threads: 1 });
const source = readFileSync(fileURLToPath(import.meta.url), "utf8").split("\n");

/** Compiles a body of x [4, 4]. */
const compile = (body: (x: Tensor) => Tensor) =>
  engine.compile({ name: "tried", sets: {}, inputs: { x: { shape: [4, 4] } }, run: (_, { x }) => ({ outputs: { y: body(x as Tensor) } }) });
const boxes = (x: Tensor): [Tensor2D, Tensor1D] => [x as Tensor2D, tf.max(x, 1) as Tensor1D];

const SHAPE = /shape depends on the data, and a program's shapes are fixed.*; keep every element and mask with tf\.where/;
const ELEMENTS = /reads elements, which do not exist while the program is recorded; return the tensor as an output/;
const UNKNOWN = /has no translation \(kernel "\w+"\); write it with other operations/;
const COMPLEX = /needs complex64, which has no form.*; write it in real numbers/;
const STRINGS = /needs strings, which have no form.*; turn them into numbers/;

/** Each body stands on one line, marked by its key, which the message must name. */
const cases: [key: string, operation: string, body: (x: Tensor) => unknown, reason: RegExp][] = [
  ["dataSync", "tensor.dataSync()", (x) => x.dataSync(), ELEMENTS],
  ["arraySync", "tensor.arraySync()", (x) => tf.add(x, 1).arraySync(), ELEMENTS],
  ["data", "tensor.data()", (x) => x.data(), ELEMENTS],
  ["array", "tensor.array()", (x) => x.array(), ELEMENTS],
  ["whereAsync", "tf.whereAsync", (x) => tf.whereAsync(tf.greater(x, 0)), SHAPE],
  ["booleanMask", "tf.booleanMaskAsync", (x) => tf.booleanMaskAsync(x, tf.greater(tf.max(x, 1), 0)), SHAPE],
  ["setdiff1d", "tf.setdiff1dAsync", (x) => tf.setdiff1dAsync(tf.max(x, 0), tf.max(x, 1)), SHAPE],
  ["unique", "tf.unique", (x) => tf.unique(x, 0), SHAPE],
  ["suppression", "tf.nonMaxSuppression", (x) => tf.image.nonMaxSuppression(...boxes(x), 2), SHAPE],
  ["suppressionAsync", "tf.nonMaxSuppressionAsync", (x) => tf.image.nonMaxSuppressionAsync(...boxes(x), 2), SHAPE],
  ["topk", "tf.topk", (x) => tf.topk(x, 2), UNKNOWN],
  ["transform", "tf.transform", (x) => tf.image.transform(tf.reshape(x, [1, 4, 4, 1]) as Tensor4D, tf.ones([1, 8]) as Tensor2D), UNKNOWN],
  ["complex", "tf.complex", (x) => tf.complex(x, x), COMPLEX],
  ["fft", "tf.rfft", (x) => tf.spectral.rfft(x), COMPLEX],
  ["string", "tf.tensor", () => tf.tensor(["a", "b"]), STRINGS],
  [
    "channels first",
    "tf.conv2d",
    (x) => tf.conv2d(tf.reshape(x, [1, 1, 4, 4]) as Tensor4D, tf.ones([1, 1, 1, 1]), 1, "same", "NCHW"),
    /asks for dataFormat "NCHW"; transpose to "NHWC"/,
  ],
];

/** The key of the case that a line of this file belongs to. */
function caseAt(line: number): string | undefined {
  const before = source.slice(0, line).flatMap((text) => /^ {2}\["([^"]*)",|^ {4}"([^"]*)",$/.exec(text)?.slice(1).find(Boolean) ?? []);
  return before.findLast((name) => cases.some(([key]) => key === name));
}

for (const [key, operation, body, reason] of cases) {
  test(`${key} is refused by name and line`, async () => {
    const { message } = await assert.rejects(compile(body as (x: Tensor) => Tensor));
    const [, line] = /^Cannot compile program "tried": \S+ at test\/engine\/errors\.test\.ts:(\d+) /.exec(message) ?? [];
    assert.ok(message.startsWith(`Cannot compile program "tried": ${operation} at `), message);
    assert.is(caseAt(Number(line)), key, message);
    assert.match(message, reason);
  });
}

test("what fails in a gradient is named with the line that takes the gradient", () => {
  const stack = [
    "Error: Kernel 'FFT' not registered for backend",
    "    at Engine.runKernel (/home/u/node_modules/@tensorflow/tfjs-core/dist/tf-core.node.js:1:2)",
    "    at Module.fft__op (file:///home/u/node_modules/@tensorflow/tfjs-core/dist/tf-core.node.js:3:4)",
    `    at backward (${fileURLToPath(new URL("../../engine/gradients/matrix.ts", import.meta.url))}:5:6)`,
    "    at backpropagateGradients (/home/u/tfjs-core/src/tape.ts:7:8)",
    "    at Array.map (<anonymous>)",
    "    at file:///home/u/train.ts:9:10",
    "    at run (/home/u/other.ts:11:12)",
  ];
  assert.equal(placeOf(stack.join("\n")), { operation: "tf.fft", line: "/home/u/train.ts:9", backward: true });
});

test("a function that is async is refused", async () => {
  const run = (async () => ({ outputs: {} })) as never;
  await assert.rejects(engine.compile({ name: "tried", sets: {}, inputs: {}, run }), /"tried".*async.*plain function/);
  const reading = (async (_: unknown, { x }: Record<string, Tensor>) => ({ outputs: { y: tf.tensor(await x!.data()) } })) as never;
  await assert.rejects(engine.compile({ name: "tried", sets: {}, inputs: { x: { shape: [2] } }, run: reading }), ELEMENTS);
});

test("constants may be read, and a failed trace leaves nothing behind", async () => {
  const program = await compile((x) => tf.mul(x, tf.tensor1d([1, 2, 3]).arraySync()[2] as number));
  assert.equal((await program.run({ x: new Float32Array(16).fill(2) })).y, new Float32Array(16).fill(6));
});

test.after(() => engine.dispose());
test.run();
