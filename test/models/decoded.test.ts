/** Images inside a loss: the normalisation undone and decoded as the sampler does it, for every kind of codec, with gradients. */
import { createEngine } from "../../engine/engine.ts";
import { type Tensor, tf } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { autoencoderConfig, decode, initAutoencoder } from "../../models/codecs/autoencoder.ts";
import { decodedImages } from "../../models/codecs/decoded.ts";
import { autoencoderKl } from "../../models/codecs/kl.ts";
import { decodeTaesd } from "../../models/codecs/taesd.ts";
import type { TaesdConfig } from "../../models/codecs/taesd-layout.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { denormalise } from "../../store/records/statistics.ts";
import { klConfigOf, randomKl } from "../fixtures/kl.ts";
import { assert, suite } from "../harness.ts";
import { noise, perturbed, toParameters } from "./parameters.ts";

const test = suite("decoded images");
test.before(async () => {
  await tf.setBackend("cpu");
});

const statistics = { mean: [0.3, -0.2, 0.1], std: [0.5, 2, 0], min: [0, 0, 0], max: [0, 0, 0], nonFinite: 0 };
const shape = [2, 4, 4, 3];

const own = autoencoderConfig({ channels: 3, downsample: 2, width: 8, perceptualWeight: 1, boundWeight: 0 });
const taesd: TaesdConfig = {
  latentChannels: 3,
  downsample: 2,
  encoder: [],
  decoder: [
    { kind: "conv", name: "decoder.0" },
    { kind: "block", name: "decoder.2" },
    { kind: "up", name: "decoder.3" },
    { kind: "conv", name: "decoder.4" },
  ],
};
const kernel = (name: string, side: number, inputs: number, outputs: number): [string, Weights[string]] => {
  const length = side * side * inputs * outputs;
  const data = normals({ seed: 2, stream: name, length }).map((v) => (0.7 * v) / Math.sqrt(side * side * inputs));
  return [`${name}.kernel`, { shape: [side, side, inputs, outputs], data }];
};
const bias = (name: string, outputs: number): [string, Weights[string]] => [
  `${name}.bias`,
  { shape: [outputs], data: normals({ seed: 2, stream: `${name} bias`, length: outputs }).map((v) => 0.1 * v) },
];
const layer = (name: string, inputs: number, outputs: number) => [kernel(name, 3, inputs, outputs), bias(name, outputs)];
const taesdWeights: Weights = Object.fromEntries([
  ...layer("decoder.0", 3, 6),
  ...[0, 2, 4].flatMap((i) => layer(`decoder.2.conv.${i}`, 6, 6)),
  kernel("decoder.3", 3, 6, 6),
  ...layer("decoder.4", 6, 3),
]);

const kl = klConfigOf();

const kinds: Record<string, { config?: unknown; weights: Weights; decoder: (latents: Tensor, weights: Weights) => Tensor }> = {
  pixel: { weights: {}, decoder: (latents) => latents },
  autoencoder: {
    config: own,
    weights: perturbed(initAutoencoder(own, 1), 0.1),
    decoder: (latents, weights) => decode(own, toParameters(weights), latents),
  },
  taesd: { config: taesd, weights: taesdWeights, decoder: (latents, weights) => decodeTaesd(taesd, toParameters(weights), latents) },
  kl: {
    config: kl,
    weights: randomKl(kl),
    decoder: (latents, weights) => autoencoderKl.forward(kl, toParameters(weights), { latents }, "decode").image as Tensor,
  },
};

for (const [kind, { config, weights, decoder }] of Object.entries(kinds)) {
  test(`${kind}: the images are those that a sampler draws, compiled too, and the gradient is that of differences`, async () => {
    const latents = noise("latents", shape);
    const raw = denormalise(latents.dataSync() as Float32Array, statistics, 0.5);
    const expected = decoder(tf.tensor(raw, shape), weights);
    const images = decodedImages({ codec: { kind, config }, statistics, sigmaData: 0.5 });
    assert.close(images(toParameters(weights), latents).dataSync(), expected.dataSync(), 1e-5);

    const length = (x: Tensor, parameters: Record<string, Tensor>): Tensor => tf.mean(tf.square(images(parameters, x)));
    const gradient = tf
      .grad(((x: Tensor) => length(x, toParameters(weights))) as never)(latents)
      .dataSync();
    const direction = noise("direction", shape);
    const along = tf.sum(tf.mul(tf.tensor(gradient, shape), direction)).dataSync()[0]!;
    const value = (by: number): number => length(tf.add(latents, tf.mul(direction, by)), toParameters(weights)).dataSync()[0]!;
    assert.close((value(5e-3) - value(-5e-3)) / 1e-2, along, 0.02 * Math.abs(along) + 1e-3);

    const engine = await createEngine({ device: "cpu", threads: 1 });
    try {
      const program = await engine.compile({
        name: "decode",
        sets: { codec: engine.constants("codec", weights) },
        inputs: { x: { shape } },
        run: ({ codec }, { x }) => ({
          outputs: { images: images(codec, x as Tensor), gradient: tf.grad(((t: Tensor) => length(t, codec)) as never)(x as never) },
        }),
      });
      const found = await program.run({ x: latents.dataSync() as Float32Array });
      assert.close(found.images!, expected.dataSync(), 1e-5);
      assert.close(found.gradient!, gradient, 1e-5);
    } finally {
      await engine.dispose();
    }
  });
}

test.run();
