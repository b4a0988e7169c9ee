import { createEngine } from "../../engine/engine.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import {
  codesOfLatents,
  codesOfTokens,
  decodeCodes,
  encodeToVectors,
  gridOf,
  type ImageTokenizerConfig,
  initImageTokenizer,
  tokensOfLatents,
} from "../../models/tokens/image-tokenizer.ts";
import { codebookOf, entropyDifference, nearest, quantised, unit } from "../../models/tokens/quantise.ts";
import { tokenizerLoss } from "../../models/tokens/tokenizer-loss.ts";
import { integers } from "../../schemas/numbers/philox.ts";
import { assert, suite } from "../harness.ts";
import { noise, perturbed, toParameters } from "./parameters.ts";

const test = suite("image tokenizer");
test.before(async () => {
  await tf.setBackend("cpu");
});

const tiny: ImageTokenizerConfig = { shape: [8, 8, 3], downsample: 2, width: 8, codes: 12, dimension: 4, sigmaData: 0.5 };
const parametersOf = (config: ImageTokenizerConfig) => toParameters(perturbed(initImageTokenizer(config, 1)));
const values = (x: Tensor): number[] => [...x.dataSync()];
const rowsOf = (x: Tensor): number[][] => {
  const width = x.shape.at(-1) as number;
  const flat = values(x);
  return Array.from({ length: flat.length / width }, (_, i) => flat.slice(i * width, (i + 1) * width));
};

test("every downsampling gives a grid of tokens, their unit codes, and latents of the shape that went in", () => {
  for (const downsample of [2, 4, 8] as const) {
    const config: ImageTokenizerConfig = { ...tiny, shape: [8, 16, 3], downsample };
    const parameters = parametersOf(config);
    const latents = noise("latents", [2, 8, 16, 3]);
    const [height, width] = gridOf(config);
    const tokens = tokensOfLatents(config, parameters, latents);
    assert.equal(tokens.shape, [2, height * width]);
    assert.ok(values(tokens).every((token) => Number.isInteger(token) && token >= 0 && token < config.codes));
    const codes = codesOfTokens(config, parameters, tokens);
    assert.equal(codes.shape, [2, height, width, config.dimension]);
    for (const row of rowsOf(codes)) assert.close(Math.hypot(...row), 1, 1e-5);
    const direct = codesOfLatents(config, parameters, latents);
    assert.equal(values(direct), values(codes));
    assert.equal(decodeCodes(config, parameters, codes).shape, [2, 8, 16, 3]);
  }
});

test("a token is the code at the least distance, looked for one by one in float64", () => {
  const parameters = parametersOf(tiny);
  const latents = noise("latents", [3, 8, 8, 3]);
  const vectors = rowsOf(encodeToVectors(tiny, parameters, latents));
  const codes = rowsOf(codebookOf(parameters));
  const tokens = values(tokensOfLatents(tiny, parameters, latents));
  const distance = (a: number[], b: number[]): number => a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0);
  vectors.forEach((vector, i) => {
    const distances = codes.map((code) => distance(vector, code));
    assert.ok(distances[tokens[i]!]! <= Math.min(...distances) + 1e-6, `place ${i}`);
  });
  assert.ok(new Set(tokens).size > 3);
});

test("the straight-through gradient is the decoder's own; commitment draws vectors and codebook codes, by the closed forms", () => {
  const vectors = unit(noise("vectors", [1, 2, 3, 4]));
  const codes = unit(noise("codes", [5, 4]));
  const slope = noise("slope", [1, 2, 3, 4]);
  const passed = tf.grad((v) => tf.sum(tf.mul(quantised(v as Tensor, codes).codes, slope)))(vectors);
  assert.equal(values(passed), values(slope));

  const choice = rowsOf(nearest(vectors, codes)).map((row) => row.indexOf(1));
  const [v, e] = [rowsOf(vectors), rowsOf(codes)];
  const count = v.length * 4;
  const committed = tf.grads((a, b) => quantised(a as Tensor, b as Tensor).commitment)([vectors, codes]) as Tensor[];
  rowsOf(committed[0]!).forEach((row, i) => {
    for (const [d, found] of row.entries()) assert.close(found, (2 * (v[i]![d]! - e[choice[i]!]![d]!)) / count, 1e-6);
  });
  assert.ok(values(committed[1]!).every((value) => value === 0));

  const drawn = tf.grads((a, b) => quantised(a as Tensor, b as Tensor).codebook)([vectors, codes]) as Tensor[];
  assert.ok(values(drawn[0]!).every((value) => value === 0));
  rowsOf(drawn[1]!).forEach((row, k) => {
    for (const [d, found] of row.entries()) {
      const wanted = choice.reduce((sum, chosen, i) => (chosen === k ? sum + (2 * (e[k]![d]! - v[i]![d]!)) / count : sum), 0);
      assert.close(found, wanted, 1e-6);
    }
  });
});

test("use and perplexity are those of the counts, and the entropies those of float64", () => {
  const codes = unit(noise("codes", [6, 4]));
  const chosen = Array.from(integers({ seed: 2, stream: "chosen", length: 40, below: 3 }));
  const vectors = tf.reshape(tf.gather(codes, tf.tensor1d([...chosen, 4, 4], "int32")), [1, 6, 7, 4]);
  const { used, perplexity, commitment } = quantised(vectors, codes);
  const shares = [0, 1, 2].map((k) => chosen.filter((c) => c === k).length / 42).concat(2 / 42);
  assert.close(values(used)[0]!, 4 / 6, 1e-6);
  assert.close(values(perplexity)[0]!, Math.exp(-shares.reduce((sum, p) => sum + p * Math.log(p), 0)), 1e-4);
  assert.close(values(commitment)[0]!, 0, 1e-10);

  const spread = unit(noise("spread", [1, 2, 4, 4]));
  const likely = rowsOf(spread).map((v) => {
    const weights = rowsOf(codes).map((e) => Math.exp((2 / 0.5) * e.reduce((sum, value, d) => sum + value * v[d]!, 0)));
    const total = weights.reduce((a, b) => a + b);
    return weights.map((weight) => weight / total);
  });
  const entropy = (p: number[]): number => -p.reduce((sum, value) => sum + value * Math.log(value), 0);
  const mean = likely[0]!.map((_, k) => likely.reduce((sum, row) => sum + row[k]!, 0) / likely.length);
  const wanted = likely.reduce((sum, row) => sum + entropy(row), 0) / likely.length - entropy(mean) + Math.log(6);
  assert.close(values(entropyDifference(spread, codes, 0.5))[0]!, wanted, 1e-5);
});

test("compiled, the loss and the use of the codes are what they are uncompiled", async () => {
  const weights = { reconstruction: "absolute" as const, commitment: 0.25, perceptualWeight: 0, entropyWeight: 0.1 };
  const network = perturbed(initImageTokenizer(tiny, 1));
  const latents = noise("latents", [2, 8, 8, 3]);
  const plain = tokenizerLoss({ config: tiny, parameters: toParameters(network), latents, weights });
  const wanted = Object.fromEntries(Object.entries({ loss: plain.loss, ...plain.metrics }).map(([name, x]) => [name, values(x)[0]!]));
  const x = Float32Array.from(values(latents));
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const program = await engine.compile({
    name: "loss",
    sets: { network: engine.constants("network", network) },
    inputs: { x: { shape: [2, 8, 8, 3] } },
    run: (sets, inputs) => {
      const { loss, metrics } = tokenizerLoss({ config: tiny, parameters: sets.network, latents: inputs.x as Tensor, weights });
      return { outputs: { loss, ...metrics } };
    },
  });
  const found = await program.run({ x });
  await engine.dispose();
  await tf.setBackend("cpu");
  assert.ok(wanted.used! > 0 && wanted.perplexity! > 1);
  for (const [name, value] of Object.entries(wanted)) assert.close(found[name]![0]!, value, 1e-4 * Math.max(1, value), name);
});

test("the loss is the sum of its terms, in units of sigmaData", () => {
  const parameters = parametersOf(tiny);
  const latents = tf.mul(noise("latents", [2, 8, 8, 3]), 0.5);
  const weights = { reconstruction: "squared" as const, commitment: 0.25, perceptualWeight: 2, entropyWeight: 0 };
  const between = (): Tensor => tf.scalar(3);
  const { loss, metrics } = tokenizerLoss({ config: tiny, parameters, latents, weights, between });
  const of = (name: string): number => values(metrics[name] as Tensor)[0]!;
  assert.close(values(loss)[0]!, of("reconstruction") + 1.25 * of("commitment") + 6, 1e-4); // codebook and commitment are of one value
  const decoded = values(decodeCodes(tiny, parameters, codesOfLatents(tiny, parameters, latents)));
  const squared = values(latents).reduce((sum, value, i) => sum + ((value - decoded[i]!) / 0.5) ** 2, 0) / decoded.length;
  assert.close(of("reconstruction"), squared, 1e-4);
});

test.run();
