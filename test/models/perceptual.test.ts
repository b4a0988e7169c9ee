import { createEngine } from "../../engine/engine.ts";
import { integers, normals } from "../../schemas/numbers/philox.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { augmentationDraws, DRAW_SIZE } from "../../models/losses/augment.ts";
import { featureDifference } from "../../models/losses/distance.ts";
import { eLatentLpips, featureDistance } from "../../models/losses/elatentlpips.ts";
import { applyPerceptual, initPerceptual, perceptualConfig, perceptualLoss, perceptualTaps } from "../../models/losses/perceptual.ts";
import { frequentWords, perceptualTargets } from "../../models/text/word-targets.ts";
import { assert, suite } from "../harness.ts";
import { descend } from "./descent.ts";

const test = suite("perceptual");
test.before(async () => {
  await tf.setBackend("cpu");
});

const tensors = (weights: Weights): Record<string, Tensor> =>
  Object.fromEntries(Object.entries(weights).map(([name, { shape, data }]) => [name, tf.tensor(data, shape)]));
const random = (stream: string, shape: number[]): Float32Array => normals({ seed: 1, stream, length: shape.reduce((a, b) => a * b, 1) });
const number = (x: Tensor): number => x.dataSync()[0]!;

test("takes latents of every shape in use", () => {
  for (const [shape, sides] of [
    [
      [16, 16, 4],
      [16, 8, 4],
    ],
    [
      [28, 28, 3],
      [28, 14, 7],
    ],
    [
      [8, 8, 32],
      [8, 4, 2],
    ],
    [
      [10, 6, 4],
      [10, 5],
    ],
  ] as const) {
    const config = perceptualConfig({ shape, width: 4, sigmaData: 0.5, classes: 3, words: ["a", "b"] });
    const x = tf.tensor(random("x", [2, ...shape]), [2, ...shape]);
    const { logits, taps } = applyPerceptual(config, tensors(initPerceptual(config, 0)), x);
    assert.equal(logits.shape, [2, 5]);
    assert.equal(
      taps.map((tap) => tap.shape[1]),
      sides,
    );
    assert.equal(
      taps.map((tap) => tap.shape[3]),
      sides.map((_, i) => 4 * 2 ** i),
    );
  }
});

test("frequent words leave out what is everywhere and what is rare", () => {
  const captions = ["a Red boat", "a red car, red sky", "a blue boat", "a boat at noon"];
  assert.equal(frequentWords(captions, { least: 0.5 }), ["boat", "red"]);
  assert.equal(frequentWords(captions, { least: 0.25, limit: 4 }), ["boat", "red", "at", "blue"]);
  const targets = perceptualTargets({ classes: 2, words: ["boat", "red"], labels: [1, 0, -1, 1], captions });
  assert.equal([...targets], [0, 1, 1, 1, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 1, 0]);
});

test("the loss of given logits is the cross-entropy worked out by hand", () => {
  const config = perceptualConfig({ shape: [4, 4, 1], width: 2, sigmaData: 1, classes: 2, words: ["x", "y", "z"] });
  const weights = initPerceptual(config, 0); // the head's kernel is zero, so that its bias is the logits
  weights["head.bias"]!.data.set([1, 0, 2, -1, 0.5]);
  const { loss, metrics } = perceptualLoss({
    config,
    parameters: tensors(weights),
    latents: tf.tensor(random("x", [1, 4, 4, 1]), [1, 4, 4, 1]),
    targets: tf.tensor2d([[0, 1, 1, 0, 0]]),
  });
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
  const words = -(Math.log(sigmoid(2)) + Math.log(1 - sigmoid(-1)) + Math.log(1 - sigmoid(0.5))) / 3;
  assert.close(number(loss), Math.log(1 + Math.E) + words, 1e-5);
  assert.close([number(metrics.accuracy), number(metrics.f1)], [0, 2 / 3], 1e-6);
});

test("feature differences: hand-computed, zero for equal maps, blind to a map's scale, finite at zero", () => {
  const a = tf.tensor([3, 4, 1, 0], [1, 1, 2, 2]); // unit vectors (0.6, 0.8) and (1, 0)
  const b = tf.tensor([1, 0, 0, 2], [1, 1, 2, 2]); // and (1, 0), (0, 1): squared differences 0.8 and 2
  assert.close(number(featureDifference([a], [b])), 1.4, 1e-6);
  assert.close(number(featureDifference([a, tf.reshape(a, [1, 2, 2])], [b, tf.reshape(b, [1, 2, 2])])), 2.8, 1e-6);
  assert.close(number(featureDifference([a], [tf.mul(a, 7)])), 0, 1e-6);
  const gradient = tf.grad((x: Tensor) => tf.sum(featureDifference([x], [b])))(tf.zerosLike(a) as never);
  assert.ok(gradient.dataSync().every(Number.isFinite));
});

const config = perceptualConfig({ shape: [8, 8, 2], width: 4, sigmaData: 0.5, classes: 2, words: [] });

test("the distance vanishes only for equal latents, and its gradient equals differences", () => {
  const parameters = tensors(initPerceptual(config, 1));
  const shape = [2, 8, 8, 2];
  const [a, b] = [tf.tensor(random("a", shape), shape), tf.tensor(random("b", shape), shape)];
  const draws = tf.tensor2d(augmentationDraws({ seed: 1, step: 0, batch: 2, height: 8, width: 8 }), [2, DRAW_SIZE]);
  const distance = (x: Tensor): Tensor => eLatentLpips({ config, parameters, a: x, b, draws });
  assert.close(number(distance(b)), 0, 1e-7);
  assert.ok(number(distance(a)) > 0.1);
  const taps = featureDistance({ features: (x) => perceptualTaps(config, parameters, x), a, b, draws });
  assert.is(number(taps), number(distance(a)));

  const gradient = tf.grad(distance as never)(a as never) as Tensor;
  const direction = tf.tensor(random("direction", shape), shape);
  const along = number(tf.sum(tf.mul(gradient, direction)));
  const eps = 2e-3;
  const difference = number(tf.sub(distance(tf.add(a, tf.mul(direction, eps))), distance(tf.sub(a, tf.mul(direction, eps)))));
  assert.close(difference / (2 * eps), along, 2e-2 * Math.abs(along) + 1e-3);
});

test("descent on the distance reaches the target only with the ensemble of augmentations", async () => {
  const errors = async (groups?: string) => (await descend({ ...(groups && { groups }), steps: 200, every: 200 })).at(-1)!;
  const [plain, ensemble] = [await errors(), await errors("bgo")];
  assert.ok(plain > 0.03, `without augmentation: ${plain}`);
  assert.ok(ensemble < 1e-3, `with augmentation: ${ensemble}`);
});

test("compiled, it learns to tell two textures apart, and compiled loss equals the eager one", async () => {
  const engine = await createEngine({ device: "cpu", threads: 1 });
  try {
    const [batch, inputs] = [16, { latents: { shape: [16, 8, 8, 2] }, targets: { shape: [16, 2] }, draws: { shape: [16, DRAW_SIZE] } }];
    const weights = initPerceptual(config, 2);
    const network = engine.variables("network", weights);
    const program = await engine.compile({
      name: "learn",
      sets: { network },
      inputs,
      run: ({ network: parameters }, { latents, targets, draws }) => {
        const names = Object.keys(parameters);
        const evaluate = (...values: Tensor[]) =>
          perceptualLoss({
            config,
            parameters: Object.fromEntries(names.map((name, i) => [name, values[i]!])),
            latents: latents!,
            targets: targets!,
            draws: draws!,
          });
        const values = names.map((name) => parameters[name]!);
        const gradients = tf.grads(((...v: Tensor[]) => evaluate(...v).loss) as never)(values);
        const { loss, metrics } = evaluate(...values);
        const updated = names.map((name, i) => [name, tf.sub(values[i]!, tf.mul(gradients[i]!, 0.2))]);
        return { outputs: { loss, ...metrics }, updates: { network: Object.fromEntries(updated) } };
      },
    });
    /** Checkerboards of 1 or 2 pixels, with noise. */
    const sample = (step: number) => {
      const labels = integers({ seed: 3, stream: "labels", offset: step * batch, length: batch, below: 2 });
      const noise = normals({ seed: 3, stream: "noise", offset: step * batch * 128, length: batch * 128 });
      const latents = noise.map((value, i) => {
        const [row, y, x] = [Math.floor(i / 128), Math.floor(i / 16) % 8, Math.floor(i / 2) % 8];
        const size = 1 + labels[row]!;
        return 0.2 * value + ((Math.floor(y / size) + Math.floor(x / size)) % 2) - 0.5;
      });
      const targets = perceptualTargets({ classes: 2, words: [], labels });
      return { latents, targets, draws: augmentationDraws({ seed: 3, step, batch, height: 8, width: 8 }) };
    };
    const first = sample(0);
    const eager = perceptualLoss({
      config,
      parameters: tensors(weights),
      latents: tf.tensor(first.latents, [batch, 8, 8, 2]),
      targets: tf.tensor2d(first.targets, [batch, 2]),
      draws: tf.tensor2d(first.draws, [batch, DRAW_SIZE]),
    });
    const results = [];
    for (let step = 0; step < 120; step++) results.push(await program.run(sample(step)));
    assert.close(results[0]!.loss![0]!, number(eager.loss), 1e-5);
    const accuracy = results.slice(-10).reduce((sum, { accuracy }) => sum + accuracy![0]! / 10, 0);
    assert.ok(accuracy > 0.95, `accuracy ${accuracy}`);
  } finally {
    await engine.dispose();
  }
});

test.run();
