import { tf, type Tensor } from "../../engine/tfjs.ts";
import { initPerceptual, perceptualConfig } from "../../models/perceptual.ts";
import { applyProjected, initProjected } from "../../models/projected.ts";
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

test("a logit for every position of every tap", () => {
  const logits = applyProjected(config, { heads: heads(0), features }, { x: latents("x") });
  assert.equal(logits.map(({ shape }) => shape), [[3, 64], [3, 16], [3, 4]]);
});

test("conditions count, and a row is judged by its own latent and condition alone", () => {
  const parameters = heads(6);
  const judge = (x: Tensor, condition: Tensor) => applyProjected(config, { heads: parameters, features }, { x, condition });
  const [x, condition] = [latents("x"), vectors("c")];
  const logits = judge(x, condition);
  assert.ok(largest(logits, judge(x, vectors("other"))) > 1e-3);
  const reversed = judge(tf.reverse(x, 0), tf.reverse(condition, 0)).map((t) => tf.reverse(t, 0));
  assert.ok(largest(logits, reversed) < 1e-6);
});

test("with the other factors fixed a logit is affine in the condition, as a projection is", () => {
  const parameters = heads(6);
  const x = latents("x");
  const judge = (condition: Tensor) => applyProjected(config, { heads: parameters, features }, { x, condition });
  const [a, b] = [vectors("a"), vectors("b")];
  const middle = judge(tf.div(tf.add(a, b), 2));
  const [of, other] = [judge(a), judge(b)];
  assert.ok(largest(middle, of.map((t, i) => tf.div(tf.add(t, other[i]!), 2))) < 1e-5);
});

test.run();
