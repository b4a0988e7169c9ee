import { tf } from "../../engine/tfjs.ts";
import { applyTextEncoder, initTextEncoder } from "../../models/text/text-encoder.ts";
import { createTokenizer, learnTokenizer } from "../../models/text/tokenizer.ts";
import { assert, suite } from "../harness.ts";
import { noise, perturbed, toParameters } from "./parameters.ts";

const test = suite("text encoder");

const captions = ["a red fox at night", "two golden castles by the sea", "a fox", ""];
const tokenizer = createTokenizer(learnTokenizer({ captions, vocabulary: 64 }));
const config = { vocabulary: tokenizer.size, length: 12, width: 8, depth: 2, heads: 2 };
const weights = perturbed(initTextEncoder(config, 5), 0.05);

const ids = (texts: string[], length = config.length) =>
  tf.tensor2d(
    texts.flatMap((text) => [...tokenizer.encode(text, length)]),
    [texts.length, length],
    "int32",
  );
const encode = (texts: string[], keep = texts.map(() => 1)) =>
  applyTextEncoder(config, toParameters(weights), { tokens: ids(texts), keep: tf.tensor1d(keep) });
const difference = (a: ReturnType<typeof tf.tensor>, b: ReturnType<typeof tf.tensor>) => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]!;

test.before(async () => {
  await tf.setBackend("cpu");
});

test("shapes, and a mask that counts the pieces with their end", () => {
  const { tokens, pooled, mask } = encode(captions);
  assert.equal(
    [tokens.shape, pooled.shape, mask.shape],
    [
      [4, 12, 8],
      [4, 8],
      [4, 12],
    ],
  );
  const pieces = captions.map((text) => [...tokenizer.encode(text, 12)].filter((id) => id !== 0).length);
  assert.equal([...tf.sum(mask, 1).dataSync()], pieces);
  assert.ok([...pooled.dataSync()].every(Number.isFinite));
});

test("padding does not change a caption: a longer encoder agrees", () => {
  const short = encode(["a fox"]);
  const longer = { ...config, length: 20 };
  const extended = { ...weights, "text.position": initTextEncoder(longer, 9)["text.position"]! };
  extended["text.position"].data.set(weights["text.position"]!.data);
  const tokens = ids(["a fox"], 20);
  const long = applyTextEncoder(longer, toParameters(extended), { tokens, keep: tf.tensor1d([1]) });
  assert.close(long.pooled.dataSync(), short.pooled.dataSync(), 1e-5);
});

test("a row of padding alone, read without its caption, is the null vector", () => {
  const tokens = tf.zeros([1, config.length], "int32") as never;
  const { pooled } = applyTextEncoder(config, toParameters(weights), { tokens, keep: tf.tensor1d([0]) });
  assert.close(pooled.dataSync(), weights["text.null"]!.data, 1e-6);
});

test("word order and words matter", () => {
  const { pooled } = encode(["red fox", "fox red", "golden fox"]);
  const [a, b, c] = tf.split(pooled, 3) as [typeof pooled, typeof pooled, typeof pooled];
  assert.ok(difference(a, b) > 1e-3);
  assert.ok(difference(a, c) > 1e-3);
});

test("a dropped caption is the learned null vector, whatever it said", () => {
  const { pooled, tokens } = encode(["a red fox", "two castles"], [0, 1]);
  assert.close(pooled.dataSync().slice(0, 8), weights["text.null"]!.data, 1e-6);
  assert.close(tokens.dataSync().slice(80, 88), weights["text.null"]!.data, 1e-6);
  assert.close(pooled.dataSync().slice(8), encode(["two castles"]).pooled.dataSync(), 1e-5);
});

test("the gradient along a random direction equals the difference quotient", () => {
  const parameters = toParameters(weights);
  const names = Object.keys(parameters);
  const input = { tokens: ids(captions), keep: tf.tensor1d([1, 0, 1, 1]) };
  const loss = (...values: ReturnType<typeof tf.tensor>[]) => {
    const { pooled, tokens } = applyTextEncoder(config, Object.fromEntries(names.map((name, i) => [name, values[i]!])), input);
    return tf.add(tf.mean(tf.square(pooled)), tf.mean(tf.mul(tokens, noise("target", tokens.shape))));
  };
  const values = names.map((name) => parameters[name]!);
  const directions = names.map((name) => noise(`direction/${name}`, parameters[name]!.shape));
  const gradients = tf.grads(loss as never)(values);
  const slope = gradients.reduce((sum, gradient, i) => sum + tf.sum(tf.mul(gradient, directions[i]!)).dataSync()[0]!, 0);
  const at = (h: number) => loss(...values.map((value, i) => tf.add(value, tf.mul(directions[i]!, h)))).dataSync()[0]!;
  assert.close((at(5e-4) - at(-5e-4)) / 1e-3 / slope, 1, 0.01);
});

test.run();
