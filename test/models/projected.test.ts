import { tf, type Tensor } from "../../engine/tfjs.ts";
import { initPerceptual, perceptualConfig } from "../../models/losses/perceptual.ts";
import { applyProjected, initProjected } from "../../models/critics/projected.ts";
import { assert, suite } from "../harness.ts";
import { noise, perturbed, toParameters } from "./parameters.ts";

const test = suite("heads over frozen features");

const config = perceptualConfig({ shape: [8, 8, 2], width: 4, sigmaData: 0.5, classes: 3, words: [] });
const features = toParameters(perturbed(initPerceptual(config, 1), 0.05));
const latents = (name: string) => noise(name, [3, 8, 8, 2]);
const vectors = (name: string) => noise(name, [3, 6]);
const heads = (condition: number) => toParameters(perturbed(initProjected({ config, width: 5, condition, seed: 2 }), 0.05));
const largest = (a: Tensor[], b: Tensor[]): number => Math.max(...a.map((t, i) => tf.max(tf.abs(tf.sub(t, b[i]!))).dataSync()[0]!));

test.before(async () => {
  await tf.setBackend("cpu");
});

test("a logit for every position of every tap, and one for the whole of it", () => {
  const logits = applyProjected(config, { heads: heads(0), features }, { x: latents("x") });
  assert.equal(
    logits.map(({ shape }) => shape),
    [
      [3, 64],
      [3, 1],
      [3, 16],
      [3, 1],
      [3, 4],
      [3, 1],
    ],
  );
});

test("places of a large map are judged two by two at least", () => {
  const large = perceptualConfig({ shape: [28, 28, 1], width: 2, sigmaData: 0.5, classes: 2, words: [] });
  const parameters = toParameters(initProjected({ config: large, width: 2, condition: 0, seed: 2 }));
  const logits = applyProjected(
    large,
    { heads: parameters, features: toParameters(initPerceptual(large, 1)) },
    { x: noise("x", [1, 28, 28, 1]) },
  );
  assert.equal(
    logits.map(({ shape }) => shape[1]),
    [14 * 14, 1, 14 * 14, 1, 7 * 7, 1],
  );
});

test("what judges the whole does not mind where things are, as long as the features stay", () => {
  const flat = perceptualConfig({ shape: [2, 2, 2], width: 4, sigmaData: 0.5, classes: 3, words: [] });
  const pointwise = toParameters(perturbed(initPerceptual(flat, 1), 0.05));
  for (const [name, kernel] of Object.entries(pointwise)) {
    if (kernel.rank !== 4) continue;
    const centre = tf.pad(tf.ones([1, 1]), [
      [1, 1],
      [1, 1],
    ]);
    pointwise[name] = tf.mul(kernel, tf.reshape(centre, [3, 3, 1, 1])); // each position sees itself alone
  }
  const parameters = toParameters(perturbed(initProjected({ config: flat, width: 5, condition: 0, seed: 2 }), 0.05));
  const judge = (x: Tensor) => applyProjected(flat, { heads: parameters, features: pointwise }, { x });
  const x = noise("x", [3, 2, 2, 2]);
  const [[places, whole], [turnedPlaces, turnedWhole]] = [judge(x), judge(tf.reverse(x, [1, 2]))] as [Tensor[], Tensor[]];
  assert.ok(largest([whole!], [turnedWhole!]) < 1e-6);
  assert.ok(largest([places!], [tf.reverse(turnedPlaces!, 1)]) < 1e-6);
  assert.ok(largest([places!], [turnedPlaces!]) > 1e-4);
});

test("conditions count, and a row is judged by its own latent and condition alone", () => {
  const parameters = heads(6);
  const judge = (x: Tensor, condition: Tensor) =>
    applyProjected(config, { heads: parameters, features }, { x, condition: { vector: condition } });
  const [x, condition] = [latents("x"), vectors("c")];
  const logits = judge(x, condition);
  assert.ok(largest(logits, judge(x, vectors("other"))) > 1e-3);
  const reversed = judge(tf.reverse(x, 0), tf.reverse(condition, 0)).map((t) => tf.reverse(t, 0));
  assert.ok(largest(logits, reversed) < 1e-6);
});

test("with the other factors fixed a logit is affine in the condition, as a projection is", () => {
  const parameters = heads(6);
  const x = latents("x");
  const judge = (condition: Tensor) => applyProjected(config, { heads: parameters, features }, { x, condition: { vector: condition } });
  const [a, b] = [vectors("a"), vectors("b")];
  const middle = judge(tf.div(tf.add(a, b), 2));
  const [of, other] = [judge(a), judge(b)];
  assert.ok(
    largest(
      middle,
      of.map((t, i) => tf.div(tf.add(t, other[i]!), 2)),
    ) < 1e-5,
  );
});

test.run();
