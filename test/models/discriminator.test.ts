import "../../engine/gradients.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { discriminatorLoss, generatorLoss, mismatchMask, mixAndMatch, r1Penalty } from "../../models/losses/adversarial.ts";
import { type DenoiserSpec, embedConditions, initDenoiser } from "../../models/denoiser.ts";
import { applyDiscriminator, type DiscriminatorConfig, initDiscriminator } from "../../models/critics/discriminator.ts";
import type { Parameters } from "../../models/layers.ts";
import { createParameterisation, noiseLevels } from "../../models/diffusion/parameterisation.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { assert, suite } from "../harness.ts";
import { noise, perturbed, toParameters } from "./parameters.ts";

const test = suite("discriminator");

function create(kind: "dit" | "unet", condition: "class" | "caption" = "class"): DiscriminatorConfig {
  const network = { kind, condition, width: 8, depth: kind === "dit" ? 3 : 1, heads: 2, multipliers: [1, 2] };
  const settings = settingsSchema.parse({ network: { ...network, captionTokens: 6, textDepth: 1 } });
  const classes = condition === "class" ? ["a", "b", "c"] : [];
  const spec: DenoiserSpec = { ...settings, shape: [8, 8, 2], classes, vocabulary: condition === "caption" ? 40 : 0 };
  return { spec, depth: 2, scales: [1, 2] };
}

const start = (config: DiscriminatorConfig) => {
  const teacherWeights = perturbed(initDenoiser(config.spec, 1), 0.05);
  return { teacherWeights, weights: initDiscriminator({ config, teacherWeights, seed: 2 }) };
};

const latents = (name: string, batch = 3) => noise(name, [batch, 8, 8, 2]);
const label = (labels: number[]) => ({ label: tf.tensor1d(labels, "int32"), keep: tf.ones([labels.length]) });
const largest = (a: Tensor[], b: Tensor[]) => Math.max(...a.map((t, i) => tf.max(tf.abs(tf.sub(t, b[i]!))).dataSync()[0]!));

test.before(async () => {
  await tf.setBackend("cpu");
});

for (const kind of ["dit", "unet"] as const) {
  const config = create(kind);
  const { teacherWeights, weights } = start(config);
  const discriminate = (parameters: Parameters, x: Tensor, z: Tensor, labels = [0, 1, 2]) =>
    applyDiscriminator(config, parameters, {
      x,
      z,
      condition: embedConditions(config.spec, parameters, label(labels)),
    });

  test(`${kind}: logits at every scale, near zero, and the trunk is the teacher's`, () => {
    const logits = discriminate(toParameters(weights), latents("x"), latents("z"));
    const shapes = logits.map(({ shape }) => shape.join("x"));
    assert.equal(shapes, kind === "dit" ? ["3x16", "3x4", "3x16", "3x4"] : ["3x16", "3x16", "3x16", "3x64", "3x64", "3x64"]);
    for (const logit of logits) assert.ok(logit.dataSync().every((value) => Math.abs(value) < 1));
    assert.ok(logits.some((logit) => tf.max(tf.abs(logit)).dataSync()[0]! > 1e-3));
    const trunk = Object.keys(weights).filter((name) => !name.startsWith("discriminator."));
    for (const name of trunk) assert.equal(weights[name], teacherWeights[name]);
    assert.ok(trunk.includes("classes"));
    assert.not(trunk.some((name) => name.startsWith("final.") || name.startsWith("blocks.2.")));
  });

  test(`${kind}: it starts blind to the noise and to resized copies, and learns from both`, () => {
    const parameters = toParameters(weights);
    const [x, z] = [latents("x"), latents("z")];
    assert.is(largest(discriminate(parameters, x, z), discriminate(parameters, x, latents("other"))), 0);
    const silent = Object.keys(parameters).filter((name) => /^discriminator\.(noise|scales\.\d+)\.kernel$/.test(name));
    assert.is(silent.length, 2);
    const loss = (...kernels: Tensor[]) => {
      const own = { ...parameters, ...Object.fromEntries(silent.map((name, i) => [name, kernels[i]!])) };
      return generatorLoss(discriminate(own, x, z));
    };
    for (const gradient of tf.grads(loss as never)(silent.map((name) => parameters[name]!))) {
      assert.ok(tf.max(tf.abs(gradient)).dataSync()[0]! > 1e-7);
    }
    const open = toParameters(perturbed(weights, 0.05));
    assert.ok(largest(discriminate(open, x, z), discriminate(open, x, latents("other"))) > 1e-3);
  });

  test(`${kind}: the class reaches every head`, () => {
    const parameters = toParameters(perturbed(weights, 0.05));
    const [x, z] = [latents("x"), latents("z")];
    const [first, second] = [discriminate(parameters, x, z), discriminate(parameters, x, z, [2, 2, 1])];
    for (const [i, logit] of first.entries()) assert.ok(largest([logit], [second[i]!]) > 1e-4);
  });

  test(`${kind}: the R1 penalty and its gradient agree with differences`, () => {
    const parameters = toParameters(perturbed(weights, 0.1));
    const names = Object.keys(parameters);
    const one = (t: Tensor) => tf.slice(t, 0, 1);
    const [x, z] = [one(latents("x")), one(latents("z"))];
    const total = (own: Parameters, sample: Tensor) =>
      discriminate(own, sample, z, [1]).reduce((sum, logit) => tf.add(sum, tf.mean(logit)), tf.scalar(0) as Tensor);
    const penalty = (...values: Tensor[]) => {
      const own = Object.fromEntries(names.map((name, i) => [name, values[i]!]));
      return r1Penalty({ discriminate: (sample) => discriminate(own, sample, z, [1]), x });
    };
    const values = names.map((name) => parameters[name]!);

    // The penalty itself: |grad|^2, with the slope along grad / |grad| measured by differences.
    const gradient = tf.grad((sample: Tensor) => total(parameters, sample))(x);
    const length = tf.norm(gradient).dataSync()[0]!;
    const along = (h: number) => total(parameters, tf.add(x, tf.mul(gradient, h / length))).dataSync()[0]!;
    const measured = fourthOrder(along, 0.02);
    assert.close(penalty(...values).dataSync()[0]! / measured ** 2, 1, 2e-3);

    // Its parameter gradient, along one random direction within every third tensor at a time.
    // The heads' last biases have no part in it, which tf.grads refuses: nothing times everything satisfies it.
    const touched = (...own: Tensor[]) => own.reduce((sum, t) => tf.add(sum, tf.mul(tf.sum(t), 0)), penalty(...own));
    const gradients = tf.grads(touched as never)(values);
    for (const part of [0, 1, 2]) {
      const directions = names.map((name, i) =>
        i % 3 === part ? noise(`direction/${name}`, parameters[name]!.shape) : tf.zerosLike(parameters[name]!),
      );
      const slope = gradients.reduce((sum, g, i) => sum + tf.sum(tf.mul(g, directions[i]!)).dataSync()[0]!, 0);
      const at = (h: number) => penalty(...values.map((value, i) => tf.add(value, tf.mul(directions[i]!, h)))).dataSync()[0]!;
      assert.close(fourthOrder(at, 4e-3) / slope, 1, 5e-3, `part ${part}`);
    }
  });
}

/** First derivative at 0 by the five-point stencil. */
function fourthOrder(f: (h: number) => number, h: number): number {
  return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h);
}

test("under noise it judges the noisy latent at its level: none is the clean latent, a known sum the same sum given outright", () => {
  const config = create("dit");
  const parameters = toParameters(perturbed(start(config).weights, 0.05));
  const { sigmaData } = config.spec.diffusion;
  const condition = embedConditions(config.spec, parameters, label([0, 1, 2]));
  const [x, z] = [latents("x"), latents("z")];
  const judged = (of: Tensor, sigmas: number[], disturbing: Tensor) => {
    const { sigma, cIn, cNoise } = noiseLevels(createParameterisation(config.spec.diffusion), sigmas);
    const disturbance = { noise: disturbing, sigma: tf.tensor1d(sigma), cIn: tf.tensor1d(cIn), cNoise: tf.tensor1d(cNoise) };
    return applyDiscriminator(config, parameters, { x: of, z, condition, disturbance });
  };
  const told = 0.1 * sigmaData; // what the trunk is told of clean latents
  assert.ok(largest(judged(x, [told, told, told], tf.zerosLike(x)), applyDiscriminator(config, parameters, { x, z, condition })) < 1e-6);

  const sigmas = [0.1, 0.3, 0.5];
  const draws = latents("disturbance");
  const sum = tf.add(x, tf.mul(draws, tf.tensor4d(sigmas, [3, 1, 1, 1])));
  assert.ok(largest(judged(x, sigmas, draws), judged(sum, sigmas, tf.zerosLike(x))) < 1e-5);
  assert.ok(largest(judged(x, sigmas, draws), judged(x, [0.1, 0.3, 0.4], draws)) > 1e-3);
});

test("captions condition it through the teacher's text encoder", () => {
  const config = create("dit", "caption");
  const parameters = toParameters(start(config).weights);
  const tokens = tf.tensor2d([20, 21, 1, 0, 0, 0, 30, 1, 0, 0, 0, 0], [2, 6], "int32");
  const condition = embedConditions(config.spec, parameters, { tokens, keep: tf.ones([2]) });
  const logits = applyDiscriminator(config, parameters, { x: latents("x", 2), z: latents("z", 2), condition });
  assert.equal(
    logits.map(({ shape }) => shape[0]),
    [2, 2, 2, 2],
  );
});

test("losses are softplus of the logits, a mean over heads, and begin at ln 2 for each side", () => {
  const heads = [
    tf.tensor2d([
      [0.3, -1],
      [2, 0],
    ]),
    tf.tensor2d([[-4], [1]]),
  ];
  const softplus = (values: number[]) => values.reduce((sum, v) => sum + Math.log1p(Math.exp(v)), 0) / values.length;
  const [first, second] = [
    [0.3, -1, 2, 0],
    [-4, 1],
  ];
  const negative = (values: number[]) => values.map((value) => -value);
  const generator = (softplus(negative(first)) + softplus(negative(second))) / 2;
  assert.close(generatorLoss(heads).dataSync()[0]!, generator, 1e-6);
  const fake = (softplus(first) + softplus(second)) / 2;
  assert.close(discriminatorLoss({ real: heads, fake: heads }).dataSync()[0]!, generator + fake, 1e-6);
  const zero = [tf.zeros([2, 1])];
  assert.close(discriminatorLoss({ real: zero, fake: zero }).dataSync()[0]!, 2 * Math.LN2, 1e-6);
});

test("mismatched fakes are other rows' real latents", () => {
  const [generated, real] = [tf.tensor4d([1, 2, 3], [3, 1, 1, 1]), tf.tensor4d([10, 20, 30], [3, 1, 1, 1])];
  const mask = tf.tensor1d([0, 1, 1]);
  assert.equal([...mixAndMatch({ generated, real, mask }).dataSync()], [1, 30, 10]);
  const alone = { generated: tf.ones([1, 1, 1, 1]), real: tf.zeros([1, 1, 1, 1]), mask: tf.ones([1]) };
  assert.equal([...mixAndMatch(alone).dataSync()], [1]);
  const masks = Array.from({ length: 50 }, (_, step) => mismatchMask({ seed: 3, step, batch: 64, share: 0.25 }));
  const share = masks.flatMap((m) => [...m]).reduce((sum, v) => sum + v, 0) / 3200;
  assert.close(share, 0.25, 0.03);
  assert.equal(mismatchMask({ seed: 3, step: 7, batch: 64, share: 0.25 }), masks[7]);
});

test("foreign teachers are refused", () => {
  const dit = create("dit");
  const { teacherWeights } = start(dit);
  const unet = create("unet");
  assert.throws(() => initDiscriminator({ config: unet, teacherWeights, seed: 0 }), /lack "in.kernel"/);
});

test.run();
