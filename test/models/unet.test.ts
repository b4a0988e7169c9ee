import { tf } from "../../engine/tfjs.ts";
import { applyUnet, initUnet, unetFeatures } from "../../models/families/unet.ts";
import { assert, suite } from "../harness.ts";
import { noise, perturbed, toParameters } from "./parameters.ts";

const test = suite("unet");

const config = {
  shape: [8, 8, 3],
  width: 8,
  multipliers: [1, 2],
  depth: 1,
  attentionLevels: [1],
  heads: 2,
} as const;

const inputs = (batch: number) => ({
  x: noise("x", [batch, 8, 8, 3]),
  noiseLevel: tf.tensor1d(Array.from({ length: batch }, (_, i) => -1 + 0.7 * i)),
  condition: noise("condition", [batch, 8]),
});

test.before(async () => {
  await tf.setBackend("cpu");
});

test("an initial network answers zero, the same for the same seed", () => {
  const weights = initUnet(config, 3);
  const out = applyUnet(config, toParameters(weights), inputs(2));
  assert.equal(out.shape, [2, 8, 8, 3]);
  assert.ok(out.dataSync().every((value) => value === 0));
  assert.equal(initUnet(config, 3), weights);
  assert.not.equal(initUnet(config, 4)["in.kernel"], weights["in.kernel"]);
});

test("initial blocks are their shortcut over sqrt(2), with box-filter resampling", () => {
  const plain = { ...config, multipliers: [1, 1], attentionLevels: [] };
  const parameters = toParameters(initUnet(plain, 3));
  const { x, noiseLevel } = inputs(1);
  const start = tf.conv2d(x as never, parameters["in.kernel"] as never, 1, "same");
  const { encoder, decoder } = unetFeatures(plain, parameters, { x, noiseLevel });
  assert.close(encoder[0]!.dataSync(), tf.mul(start, Math.SQRT1_2).dataSync(), 1e-5);
  const half = tf.avgPool(start, 2, 2, "valid");
  assert.close(encoder[1]!.dataSync(), tf.mul(half, Math.SQRT1_2 ** 3).dataSync(), 1e-5);
  assert.equal(
    decoder.map(({ level, at, after }) => [level, at.shape, after.shape]),
    [
      [1, [1, 4, 4, 16], [1, 4, 4, 8]],
      [0, [1, 8, 8, 16], [1, 8, 8, 8]],
    ],
  );
});

test("samples of a batch do not mix; noise level and condition matter", () => {
  const parameters = toParameters(perturbed(initUnet(config, 3)));
  const pair = inputs(2);
  const both = applyUnet(config, parameters, pair);
  const first = (t: typeof both) => tf.slice(t, 0, 1);
  const alone = applyUnet(config, parameters, {
    x: first(pair.x),
    noiseLevel: first(pair.noiseLevel),
    condition: first(pair.condition),
  });
  assert.close(first(both).dataSync(), alone.dataSync(), 1e-5);
  const far = (other: Partial<typeof pair>) =>
    tf.max(tf.abs(tf.sub(both, applyUnet(config, parameters, { ...pair, ...other })))).dataSync()[0]!;
  assert.ok(far({ noiseLevel: tf.tensor1d([0.5, 0.5]) }) > 1e-3);
  assert.ok(far({ condition: tf.zerosLike(pair.condition) }) > 1e-3);
});

test("the gradient along a random direction equals the difference quotient", () => {
  const weights = perturbed(initUnet(config, 3));
  const parameters = toParameters(weights);
  const names = Object.keys(parameters);
  const batch = inputs(2);
  const loss = (...values: (typeof batch.x)[]) =>
    tf.mean(tf.square(applyUnet(config, Object.fromEntries(names.map((name, i) => [name, values[i]!])), batch)));
  const values = names.map((name) => parameters[name]!);
  const directions = names.map((name) => noise(`direction/${name}`, parameters[name]!.shape));
  const gradients = tf.grads(loss as never)(values);
  const slope = gradients.reduce((sum, gradient, i) => sum + tf.sum(tf.mul(gradient, directions[i]!)).dataSync()[0]!, 0);
  const at = (h: number) => loss(...values.map((value, i) => tf.add(value, tf.mul(directions[i]!, h)))).dataSync()[0]!;
  const h = 1e-4;
  assert.close((at(h) - at(-h)) / (2 * h) / slope, 1, 0.005);
});

test("features can be injected where each encoder level begins", () => {
  const parameters = toParameters(perturbed(initUnet(config, 3)));
  const seen: number[][] = [];
  const inject = (level: number, features: ReturnType<typeof tf.tensor>) => {
    seen[level] = features.shape;
    return tf.add(features, level + 1);
  };
  const plain = applyUnet(config, parameters, inputs(1));
  const changed = applyUnet(config, parameters, { ...inputs(1), inject });
  assert.equal(seen, [
    [1, 8, 8, 8],
    [1, 4, 4, 8],
  ]);
  assert.ok(tf.max(tf.abs(tf.sub(plain, changed))).dataSync()[0]! > 1e-3);
});

test("impossible shapes are refused with the setting to change", () => {
  assert.throws(() => initUnet({ ...config, multipliers: [1, 1, 1, 1, 1] }, 0), /network.multipliers/);
  assert.throws(() => initUnet({ ...config, heads: 3 }, 0), /network.heads/);
});

test.run();
