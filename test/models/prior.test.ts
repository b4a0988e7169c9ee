import { createEngine } from "../../engine/engine.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { type ConditionBag, conditionsBy } from "../../models/conditions.ts";
import { createTokenizer, learnTokenizer } from "../../models/text/tokenizer.ts";
import { drawToken, guidedLogits } from "../../models/tokens/draw-token.ts";
import {
  beginTokens,
  type Cache,
  continueTokens,
  initPrior,
  placesOf,
  prefixLength,
  priorConditions,
  priorEncoders,
  priorLogits,
  type PriorSpec,
  sequenceLength,
  tokenCrossEntropy,
} from "../../models/tokens/prior.ts";
import { createPriorSampling, type TokenDraw } from "../../models/tokens/prior-sampling.ts";
import { createTraining } from "../../models/training/training.ts";
import { integers, uniforms } from "../../schemas/numbers/philox.ts";
import type { OptimiserSettings } from "../../schemas/settings.ts";
import { assert, suite } from "../harness.ts";
import { perturbed, toParameters } from "./parameters.ts";

const test = suite("prior");
test.before(async () => {
  await tf.setBackend("cpu");
});

const captions = ["a red fox at night", "two castles", "a fox by the sea", "a red castle", ""];
const learned = learnTokenizer({ captions, vocabulary: 64 });
const network = { width: 16, depth: 2, heads: 2, condition: "none", captionTokens: 8, textDepth: 1 } as const;
const specs: Record<string, PriorSpec> = {
  none: { grid: [2, 3], codes: 5, network, classes: [], vocabulary: 0 },
  class: { grid: [2, 3], codes: 5, network: { ...network, condition: "class" }, classes: ["a", "b", "c"], vocabulary: 0 },
  caption: {
    grid: [2, 3],
    codes: 5,
    network: { ...network, condition: "caption" },
    classes: [],
    vocabulary: createTokenizer(learned).size,
  },
};
const ROWS = 5;
const bags = new Map<string, ConditionBag>();
for (const spec of Object.values(specs)) {
  const { inputs } = conditionsBy(priorEncoders(spec), spec, { tokenizer: learned });
  bags.set(spec.network.condition, await inputs({ label: Int32Array.of(0, 1, 2, 0, 1), caption: captions }));
}
const bagOf = (spec: PriorSpec): ConditionBag => bags.get(spec.network.condition)!;
const weightsOf = (spec: PriorSpec): Weights => perturbed(initPrior(spec, 3), 0.2);
const values = (x: Tensor): number[] => [...x.dataSync()];
/** Conditions as tensors, kept in all rows or in none. */
function given(spec: PriorSpec, keep: number): Record<string, Tensor> {
  const shapes = priorConditions(spec, ROWS);
  const bag = Object.entries(bagOf(spec)).map(([name, data]) => [name, tf.tensor(data, shapes[name]!.shape, "int32")]);
  return { ...Object.fromEntries(bag), ...("keep" in shapes && { keep: tf.fill([ROWS], keep) }) };
}
const drawn = (spec: PriorSpec, stream = "tokens"): Tensor => {
  const n = sequenceLength(spec);
  return tf.tensor(Int32Array.from(integers({ seed: 5, stream, length: ROWS * n, below: spec.codes })), [ROWS, n], "int32");
};

test("a new prior foretells every token alike: ln K nats", () => {
  for (const spec of Object.values(specs)) {
    const logits = priorLogits(spec, toParameters(initPrior(spec, 0)), { imageTokens: drawn(spec), ...given(spec, 1) });
    assert.equal(logits.shape, [ROWS, 6, 5]);
    assert.close(values(tokenCrossEntropy(logits, drawn(spec)))[0]!, Math.log(5), 1e-6);
  }
});

test("cross-entropy is that of float64", () => {
  const spec = specs.class!;
  const tokens = drawn(spec);
  const logits = priorLogits(spec, toParameters(weightsOf(spec)), { imageTokens: tokens, ...given(spec, 1) });
  const [flat, wanted] = [values(logits), values(tokens)];
  const terms = wanted.map((token, i) => {
    const row = flat.slice(5 * i, 5 * i + 5);
    return Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[token]!;
  });
  assert.close(values(tokenCrossEntropy(logits, tokens))[0]!, terms.reduce((a, b) => a + b) / terms.length, 1e-5);
});

test("a token is foretold by those before it and the condition alone, and a dropped condition says nothing", () => {
  for (const [name, spec] of Object.entries(specs)) {
    const parameters = toParameters(weightsOf(spec));
    const tokens = drawn(spec);
    const of = (tokens: Tensor, keep: number): number[][][] =>
      priorLogits(spec, parameters, { imageTokens: tokens, ...given(spec, keep) }).arraySync() as number[][][];
    const before = of(tokens, 1);
    const changed = values(tokens).map((token, i) => (i % 6 === 3 ? (token + 1) % 5 : token));
    const after = of(tf.tensor(Int32Array.from(changed), [ROWS, 6], "int32"), 1);
    for (let row = 0; row < ROWS; row++) {
      for (let i = 0; i < 6; i++) {
        const most = Math.max(...before[row]![i]!.map((value, k) => Math.abs(value - after[row]![i]![k]!)));
        assert.ok(i <= 3 ? most < 1e-6 : most > 1e-4, `${name}: token ${i} changed by ${most}`);
      }
    }
    const same = tf.zeros([ROWS, 6], "int32");
    const [held, dropped] = [of(same, 1), of(same, 0)];
    for (const row of dropped) row.flat().forEach((value, i) => assert.close(value, dropped[0]!.flat()[i]!, 1e-5));
    if (name !== "none") assert.ok(Math.abs(held[0]![0]![0]! - held[1]![0]![0]!) > 1e-4, `${name}: the condition counts`);
  }
});

test("logits of the cached walk are those of the whole sequence at once", () => {
  for (const [name, spec] of Object.entries(specs)) {
    for (const keep of [0, 1]) {
      const parameters = toParameters(weightsOf(spec));
      const tokens = drawn(spec);
      const whole = priorLogits(spec, parameters, { imageTokens: tokens, ...given(spec, keep) });
      let { logits, cache }: { logits: Tensor; cache: Cache } = beginTokens(spec, parameters, {
        batch: ROWS,
        conditions: given(spec, keep),
      });
      for (let i = 0; i < 6; i++) {
        if (i > 0) {
          const at = prefixLength(spec) + i - 1;
          const places = Array.from({ length: placesOf(spec) }, (_, p) => p);
          const token = tf.reshape(tf.slice(tokens, [0, i - 1], [ROWS, 1]), [ROWS]);
          const place = tf.tensor2d([places.map((p) => Number(p === at))]);
          ({ logits, cache } = continueTokens(spec, parameters, {
            token,
            place,
            cache,
            future: tf.tensor2d([places.map((p) => Number(p > at))]),
          }));
        }
        const wanted = values(tf.slice(whole, [0, i, 0], [ROWS, 1, 5]));
        values(logits).forEach((value, k) => assert.close(value, wanted[k]!, 2e-5, `${name}, token ${i}`));
      }
    }
  }
});

test("samples are the draws that uncached, guided logits give, whatever the batch and wherever they begin", async () => {
  for (const [name, spec] of Object.entries(specs)) {
    const engine = await createEngine({ device: "cpu", threads: 1 });
    const weights = weightsOf(spec);
    const draw: TokenDraw = { seed: 9, start: 7, rows: ROWS, conditions: bagOf(spec), guidance: 2.5, topK: 4, temperature: 0.8 };
    const inBatches = async (batch: number) =>
      createPriorSampling({ engine, spec, network: engine.constants(`network ${batch}`, weights), batch, isGuided: true });
    const tokens = await (await inBatches(2)).sample(draw);
    const together = await inBatches(ROWS);
    assert.equal([...(await together.sample(draw))], [...tokens]);
    await engine.dispose();

    await tf.setBackend("cpu");
    const at = tf.tensor(tokens, [ROWS, 6], "int32");
    const parameters = toParameters(weights);
    const logits = [1, 0].map((keep) =>
      Float32Array.from(values(priorLogits(spec, parameters, { imageTokens: at, ...given(spec, keep) }))),
    );
    const u = uniforms({ seed: 9, stream: "prior/tokens", offset: 7 * 6, length: ROWS * 6 });
    const wanted = Array.from({ length: ROWS * 6 }, (_, i) => {
      const [conditional, unconditional] = logits.map((all) => all.subarray(5 * i, 5 * i + 5)) as [Float32Array, Float32Array];
      return drawToken(name === "none" ? conditional : guidedLogits(conditional, unconditional, 2.5), u[i]!, draw);
    });
    assert.equal([...tokens], wanted, name);
  }
});

test("draws follow the softmax of the likeliest", () => {
  const logits = Float32Array.of(0.3, 2, -1, 1.5, 2);
  const share = (k: number, options: { topK: number; temperature: number }): number => {
    const rows = 4000;
    let hits = 0;
    for (let i = 0; i < rows; i++) if (drawToken(logits, (i + 0.5) / rows, options) === k) hits++;
    return hits / rows;
  };
  const weights = [...logits].map((value) => Math.exp(value / 0.7));
  const total = weights.reduce((a, b) => a + b);
  for (let k = 0; k < 5; k++) assert.close(share(k, { topK: 0, temperature: 0.7 }), weights[k]! / total, 1e-3);
  assert.is(share(1, { topK: 1, temperature: 1 }), 1); // the first of two equal ones
  assert.is(share(1, { topK: 0, temperature: 0 }), 1);
  assert.is(share(0, { topK: 3, temperature: 1 }), 0);
  assert.close(share(4, { topK: 2, temperature: 5 }), 0.5, 1e-3);
  assert.is(drawToken(logits, 1 - 2 ** -53, { topK: 0, temperature: 1 }), 4);
  assert.equal([...guidedLogits(Float32Array.of(1, 2), Float32Array.of(0, 4), 3)], [3, -2]);
});

test(
  "of a Markov source it learns the entropy and each conditional probability",
  async () => {
    const spec: PriorSpec = {
      grid: [1, 8],
      codes: 3,
      classes: ["slow", "fast"],
      vocabulary: 0,
      network: { ...network, depth: 1, condition: "class" },
    };
    const first = [0.6, 0.3, 0.1];
    const chains = [
      [0.8, 0.1, 0.1, 0.2, 0.7, 0.1, 0.3, 0.1, 0.6],
      [0.1, 0.6, 0.3, 0.3, 0.1, 0.6, 0.5, 0.4, 0.1],
    ].map((flat) => [0, 1, 2].map((from) => flat.slice(3 * from, 3 * from + 3)));
    const pick = (p: number[], u: number): number => (u < p[0]! ? 0 : u < p[0]! + p[1]! ? 1 : 2);
    const batchOf = (step: number) => {
      const label = Int32Array.from({ length: 64 }, (_, i) => i % 2);
      const u = uniforms({ seed: 1, stream: "source", offset: step * 64 * 8, length: 64 * 8 });
      const tokens = new Int32Array(64 * 8);
      for (let i = 0; i < tokens.length; i++) {
        const chain = chains[label[Math.floor(i / 8)]!]!;
        tokens[i] = pick(i % 8 === 0 ? first : chain[tokens[i - 1]!]!, u[i]!);
      }
      return { imageTokens: tokens, label };
    };
    const entropyOf = (p: number[]): number => -p.reduce((sum, value) => sum + value * Math.log(value), 0);
    const entropies = chains.map((chain) => {
      let [total, at] = [entropyOf(first), first];
      for (let i = 1; i < 8; i++) {
        total += at.reduce((sum, p, from) => sum + p * entropyOf(chain[from]!), 0);
        at = [0, 1, 2].map((to) => at.reduce((sum, p, from) => sum + p * chain[from]![to]!, 0));
      }
      return total / 8;
    });
    const entropy = (entropies[0]! + entropies[1]!) / 2;

    const steps = 500;
    const engine = await createEngine({ device: "cpu", threads: 1 });
    const training = await createTraining({
      engine,
      name: "markov",
      weights: initPrior(spec, 1),
      optimiser: {
        steps,
        batch: 64,
        accumulate: 1,
        learningRate: 5e-3,
        warmup: 20,
        decay: 0.5,
        beta1: 0.9,
        beta2: 0.99,
        weightDecay: 0,
        clip: 1,
        ema: 0.98,
      } as OptimiserSettings,
      inputs: { imageTokens: { shape: [64, 8], dtype: "int32" }, ...priorConditions(spec, 64) },
      loss: (parameters, inputs) => ({
        loss: tokenCrossEntropy(priorLogits(spec, parameters, inputs), inputs.imageTokens as Tensor),
        metrics: {},
      }),
    });
    let late = 0;
    for (let step = 0; step < steps; step++) {
      const keep = new Float32Array(64).fill(1);
      const { loss } = await training.step(step, { ...batchOf(step), keep });
      if (step >= steps - 100) late += (loss as number) / 100;
    }
    assert.close(late, entropy, 0.01);
    const { average } = await training.save();
    await engine.dispose();

    await tf.setBackend("cpu");
    const parameters = toParameters(average as Weights);
    const { imageTokens: tokens, label } = batchOf(10_000);
    const inputs = { imageTokens: tf.tensor(tokens, [64, 8], "int32"), label: tf.tensor(label, [64], "int32"), keep: tf.ones([64]) };
    const likely = values(tf.softmax(priorLogits(spec, parameters, inputs)));
    const most = Array.from(tokens, (_, i) => {
      const truth = i % 8 === 0 ? first : chains[label[Math.floor(i / 8)]!]![tokens[i - 1]!]!;
      return Math.max(...truth.map((p, k) => Math.abs(p - likely[3 * i + k]!)));
    });
    assert.ok(Math.max(...most) < 0.05, `${Math.max(...most)}`);
  },
  { seconds: 120 },
);

test.run();
