import { normals } from "../../schemas/numbers/philox.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { countWeights } from "../../engine/weights.ts";
import {
  type AutoencoderConfig,
  autoencoderConfig,
  decode,
  encode,
  initAutoencoder,
  latentShape,
} from "../../models/codecs/autoencoder.ts";
import { autoencoderLoss } from "../../models/losses/reconstruction.ts";
import { similarity, structureLoss } from "../../models/losses/structure.ts";
import { methodFor, ownSettings } from "../../methods/registry.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { assert, suite } from "../harness.ts";

const test = suite("autoencoder");
test.before(async () => {
  await tf.setBackend("cpu");
});

const settings = ownSettings(methodFor("autoencoder"), settingsSchema.parse({}).pretrain.autoencoder) as Parameters<
  typeof autoencoderConfig
>[0];
const tensors = (weights: Weights): Record<string, Tensor> =>
  Object.fromEntries(Object.entries(weights).map(([name, { shape, data }]) => [name, tf.tensor(data, shape)]));
const random = (stream: string, shape: number[], scale = 1): Tensor => {
  const length = shape.reduce((a, b) => a * b, 1);
  return tf.mul(tf.tensor(normals({ seed: 1, stream, length }), shape), scale);
};

test("encodes to bounded latents and decodes to the image's shape at every downsampling", () => {
  for (const downsample of [2, 4, 8] as const) {
    const config = autoencoderConfig({ ...settings, downsample, width: 8, channels: 5 });
    const parameters = tensors(initAutoencoder(config, 0));
    const latents = encode(config, parameters, random("images", [2, 16, 24, 3], 20));
    assert.equal(latents.shape, [2, 16 / downsample, 24 / downsample, 5]);
    assert.ok(tf.max(tf.abs(latents)).dataSync()[0]! <= 3);
    assert.equal(decode(config, parameters, latents).shape, [2, 16, 24, 3]);
  }
});

test("has half a million parameters at the default size, and latents of 16x16x4 for 64 px", () => {
  const config = autoencoderConfig(settings);
  assert.close(countWeights(initAutoencoder(config, 0)), 540_000, 15_000);
  assert.equal(latentShape(config, 64), [16, 16, 4]);
  assert.throws(() => latentShape(config, 30), /images of 30 px.*multiple of 4/);
});

test("SSIM is 1 for equal images and matches the formula on a two-valued square", () => {
  const x = random("x", [2, 8, 8, 3], 0.5);
  assert.close(similarity(x, x, 8).dataSync()[0]!, 1, 1e-5);
  assert.close(structureLoss(x, x).dataSync()[0]!, 6e-3, 1e-4); // six edge terms rounded off at 1e-3

  // Half 0, half 1 against half 0, half 0.5: means 1/2, 1/4, variances 1/4, 1/16, covariance 1/8.
  const half = Array.from({ length: 64 }, (_, i) => i % 2);
  const [a, b] = [1, 0.5].map((level) =>
    tf.tensor(
      half.map((v) => v * level),
      [1, 8, 8, 1],
    ),
  ) as [Tensor, Tensor];
  const expected = ((0.25 + 0.0004) * (0.25 + 0.0036)) / ((0.3125 + 0.0004) * (0.3125 + 0.0036));
  assert.close(similarity(a, b, 8).dataSync()[0]!, expected, 1e-5);
});

test("the bound is the KL divergence of the latents' moments from N(0, 1)", () => {
  const config: AutoencoderConfig = { ...autoencoderConfig(settings), width: 8, channels: 2, downsample: 2 };
  const weights = initAutoencoder(config, 3);
  const parameters = tensors(weights);
  const images = random("images", [2, 8, 8, 3], 0.5);
  const latents = encode(config, parameters, images);
  const values = latents.dataSync();
  const kl = [0, 1].map((channel) => {
    const column = [...values].filter((_, i) => i % 2 === channel);
    const mean = column.reduce((a, b) => a + b) / column.length;
    const variance = column.reduce((a, b) => a + (b - mean) ** 2, 0) / column.length;
    return 0.5 * (mean ** 2 + variance - 1 - Math.log(variance));
  });
  const { metrics } = autoencoderLoss({ config, parameters, images, noise: tf.zerosLike(latents) });
  assert.close(metrics.bound.dataSync()[0]!, (kl[0]! + kl[1]!) / 2, 1e-4);
});

test("thirty Adam steps on a toy batch lower every term of the loss", () => {
  const config: AutoencoderConfig = { ...autoencoderConfig(settings), width: 8, boundWeight: 0.01 };
  const images = tf.tensor(
    Array.from({ length: 2 * 8 * 8 * 3 }, (_, i) => {
      const [sample, y, x] = [Math.floor(i / 192), Math.floor(i / 24) % 8, Math.floor(i / 3) % 8];
      return Math.sin(0.3 * (sample + 1) * x + 0.2 * y + (i % 3)) * 0.8;
    }),
    [2, 8, 8, 3],
  );
  const noise = random("noise", [2, 2, 2, 4]);
  const variables = Object.fromEntries(
    Object.entries(initAutoencoder(config, 0)).map(([name, { shape, data }]) => [name, tf.variable(tf.tensor(data, shape))]),
  );
  const evaluate = () => autoencoderLoss({ config, parameters: variables, images, noise });
  const optimiser = tf.train.adam(5e-3);
  const before = evaluate();
  for (let i = 0; i < 30; i++) optimiser.minimize(() => evaluate().loss as never);
  const after = evaluate();
  assert.ok(after.loss.dataSync()[0]! < 0.6 * before.loss.dataSync()[0]!);
  for (const name of ["reconstruction", "perceptual"] as const) {
    assert.ok(after.metrics[name].dataSync()[0]! < before.metrics[name].dataSync()[0]!, name);
  }
});

test("features, where given, add their LPIPS distance to the perceptual term", () => {
  const config: AutoencoderConfig = { ...autoencoderConfig(settings), width: 8, downsample: 2 };
  const parameters = tensors(initAutoencoder(config, 3));
  const images = random("images", [1, 8, 8, 3], 0.5);
  const noise = tf.zeros([1, 4, 4, 4]);
  const opposite = (x: Tensor): Tensor[] => [tf.add(tf.mul(x, 0), x === images ? 1 : -1)];
  const plain = autoencoderLoss({ config, parameters, images, noise }).metrics.perceptual.dataSync()[0]!;
  const hooked = autoencoderLoss({ config, parameters, images, noise, features: opposite });
  assert.close(hooked.metrics.perceptual.dataSync()[0]! - plain, 4, 1e-4); // unit vectors u and -u: |2u|^2
});

test.run();
