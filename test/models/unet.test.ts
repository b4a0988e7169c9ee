import { tf } from "../../engine/tfjs.ts";
import type { FamilyInputs, Hooks } from "../../models/families/family.ts";
import { unet } from "../../models/families/unet.ts";
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
  conditional: true,
} as const;

const inputs = (batch: number) => ({
  x: noise("x", [batch, 8, 8, 3]),
  noiseLevel: tf.tensor1d(Array.from({ length: batch }, (_, i) => -1 + 0.7 * i)),
  vector: noise("condition", [batch, 8]),
});

/** The features at every place of a forward pass. */
function tapped(
  of: Parameters<typeof unet.apply>[0],
  parameters: Parameters<typeof unet.apply>[1],
  given: FamilyInputs,
  hooks: Hooks = {},
) {
  const seen: Record<string, FamilyInputs["x"]> = {};
  unet.apply(of, parameters, given, { ...hooks, tap: (place, features) => (seen[place] = features) });
  return seen;
}

test.before(async () => {
  await tf.setBackend("cpu");
});

test("an initial network answers zero, the same for the same seed", () => {
  const weights = unet.init(config, 3);
  const out = unet.apply(config, toParameters(weights), inputs(2));
  assert.equal(out.shape, [2, 8, 8, 3]);
  assert.ok(out.dataSync().every((value) => value === 0));
  assert.equal(unet.init(config, 3), weights);
  assert.not.equal(unet.init(config, 4)["in.kernel"], weights["in.kernel"]);
});

test("initial blocks are their shortcut over sqrt(2), with box-filter resampling", () => {
  const plain = { ...config, multipliers: [1, 1], attentionLevels: [] };
  const parameters = toParameters(unet.init(plain, 3));
  const { x, noiseLevel } = inputs(1);
  const start = tf.conv2d(x as never, parameters["in.kernel"] as never, 1, "same");
  const seen = tapped(plain, parameters, { x, noiseLevel });
  assert.close(seen["encoder.0.blocks.0"]!.dataSync(), tf.mul(start, Math.SQRT1_2).dataSync(), 1e-5);
  const half = tf.avgPool(start, 2, 2, "valid");
  assert.close(seen["encoder.1.blocks.0"]!.dataSync(), tf.mul(half, Math.SQRT1_2 ** 3).dataSync(), 1e-5);
  const around = ["decoder.1.blocks.1.joined", "decoder.1.blocks.1", "decoder.0.blocks.1.joined", "decoder.0.blocks.1"];
  assert.equal(
    around.map((place) => seen[place]!.shape),
    [
      [1, 4, 4, 16],
      [1, 4, 4, 8],
      [1, 8, 8, 16],
      [1, 8, 8, 8],
    ],
  );
});

test("samples of a batch do not mix; noise level and condition matter", () => {
  const parameters = toParameters(perturbed(unet.init(config, 3)));
  const pair = inputs(2);
  const both = unet.apply(config, parameters, pair);
  const first = (t: typeof both) => tf.slice(t, 0, 1);
  const alone = unet.apply(config, parameters, {
    x: first(pair.x),
    noiseLevel: first(pair.noiseLevel),
    vector: first(pair.vector),
  });
  assert.close(first(both).dataSync(), alone.dataSync(), 1e-5);
  const far = (other: Partial<typeof pair>) =>
    tf.max(tf.abs(tf.sub(both, unet.apply(config, parameters, { ...pair, ...other })))).dataSync()[0]!;
  assert.ok(far({ noiseLevel: tf.tensor1d([0.5, 0.5]) }) > 1e-3);
  assert.ok(far({ vector: tf.zerosLike(pair.vector) }) > 1e-3);
});

test("the gradient along a random direction equals the difference quotient", () => {
  const weights = perturbed(unet.init(config, 3));
  const parameters = toParameters(weights);
  const names = Object.keys(parameters);
  const batch = inputs(2);
  const loss = (...values: (typeof batch.x)[]) =>
    tf.mean(tf.square(unet.apply(config, Object.fromEntries(names.map((name, i) => [name, values[i]!])), batch)));
  const values = names.map((name) => parameters[name]!);
  const directions = names.map((name) => noise(`direction/${name}`, parameters[name]!.shape));
  const gradients = tf.grads(loss as never)(values);
  const slope = gradients.reduce((sum, gradient, i) => sum + tf.sum(tf.mul(gradient, directions[i]!)).dataSync()[0]!, 0);
  const at = (h: number) => loss(...values.map((value, i) => tf.add(value, tf.mul(directions[i]!, h)))).dataSync()[0]!;
  const h = 1e-4;
  assert.close((at(h) - at(-h)) / (2 * h) / slope, 1, 0.005);
});

test("what is injected at a place reaches the layers after it, skips included, and not the tap there", () => {
  const parameters = toParameters(perturbed(unet.init(config, 3)));
  const far = (a: FamilyInputs["x"], b: FamilyInputs["x"]): number => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]!;
  const plain = tapped(config, parameters, inputs(1));
  const at = "encoder.1.down";
  const changed = tapped(config, parameters, inputs(1), { inject: (place, t) => (place === at ? tf.add(t, 1) : t) });
  const reached = Object.keys(plain).filter((place) => far(plain[place]!, changed[place]!) > 1e-6);
  assert.equal(reached, Object.keys(plain).slice(Object.keys(plain).indexOf(at) + 1));
  // The skip of that place is the last one of level 1: joined, it is one larger in its own channels exactly.
  const skip = (seen: typeof plain) => tf.slice(seen["decoder.1.blocks.1.joined"]!, [0, 0, 0, 16], [1, 4, 4, 8]);
  assert.close(tf.sub(skip(changed), skip(plain)).dataSync(), new Float32Array(128).fill(1), 1e-5);
});

test("a pass that ends early answers the features there, and wants no later parameters", () => {
  const parameters = toParameters(perturbed(unet.init(config, 3)));
  const last = "encoder.1.blocks.0";
  const needed = Object.fromEntries(Object.entries(parameters).filter(([name]) => !/^(middle|decoder|final)\./.test(name)));
  assert.equal(
    [...unet.apply(config, needed, inputs(1), { last }).dataSync()],
    [...tapped(config, parameters, inputs(1))[last]!.dataSync()],
  );
});

test("without conditions every parameter has a part in the output", () => {
  const own = { ...config, conditional: false };
  const parameters = toParameters(perturbed(unet.init(own, 3)));
  const { vector: _, ...given } = inputs(1);
  const names = Object.keys(parameters);
  const loss = (...values: FamilyInputs["x"][]) =>
    tf.mean(tf.square(unet.apply(own, Object.fromEntries(names.map((name, i) => [name, values[i]!])), given)));
  for (const gradient of tf.grads(loss as never)(names.map((name) => parameters[name]!))) {
    assert.ok(tf.max(tf.abs(gradient)).dataSync()[0]! > 0);
  }
});

test.run();
