/** A batch in micro-batches: the update of the whole batch. */
import { createEngine, type Engine } from "../../engine/engine.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { dit } from "../../models/families/dit.ts";
import type { OptimiserSettings } from "../../schemas/settings.ts";
import { createTraining, type Training } from "../../models/training/training.ts";
import { assert, suite } from "../harness.ts";
import { perturbed } from "../models/parameters.ts";

const test = suite("gradient accumulation");
const BATCH = 8;
const config = { shape: [8, 8, 2], patch: 2, width: 16, depth: 2, heads: 2 } as const;
const settings = {
  steps: 100,
  batch: BATCH,
  learningRate: 1e-3,
  warmup: 1,
  decay: 0,
  beta1: 0.9,
  beta2: 0.99,
  weightDecay: 0.01,
  clip: 1,
  ema: 0.9,
};

const shape = [BATCH, ...config.shape];
const data = (stream: string, length = BATCH * 128) => normals({ seed: 4, stream, length });
const feeds = { x: data("x"), target: data("target"), noiseLevel: data("noise", BATCH), scale: Float32Array.of(0.5) };

function training(engine: Engine, accumulate: number): Promise<Training> {
  return createTraining({
    engine,
    name: "step",
    weights: perturbed(dit.init(config, 0), 0.05),
    optimiser: { ...settings, accumulate } as OptimiserSettings,
    inputs: { x: { shape }, target: { shape }, noiseLevel: { shape: [BATCH] }, scale: { shape: [] } },
    loss: (parameters, inputs) => {
      const { x, target, noiseLevel, scale } = inputs as Record<"x" | "target" | "noiseLevel" | "scale", Tensor>;
      const made = dit.apply(config, parameters, { x, noiseLevel });
      return { loss: tf.mul(tf.mean(tf.square(tf.sub(made, target))), scale), metrics: { largest: tf.mean(made) } };
    },
  });
}

/** Fails unless the moments, and the weights whose gradient is not rounding alone, are as close as 1e-5. */
function agree(actual: Record<string, Weights>, expected: Record<string, Weights>): void {
  for (const set of ["first", "second"]) {
    for (const [key, { data: values }] of Object.entries(expected[set]!)) {
      assert.close(actual[set]![key]!.data, values, 1e-5 * Math.max(1e-3, ...values.map(Math.abs)), `${set}/${key}`);
    }
  }
  for (const [key, { data: values }] of Object.entries(expected.network!)) {
    const gradients = expected.first![key]!.data;
    const sound = [...values.keys()].filter((i) => Math.abs(gradients[i]!) > 1e-5);
    assert.close(
      sound.map((i) => actual.network![key]!.data[i]!),
      sound.map((i) => values[i]!),
      1e-5,
      key,
    );
  }
}

for (const device of ["cpu", "eager"] as const) {
  test(`${device}: 2, 4 and 8 micro-batches give the update of the batch`, async () => {
    const engine = await createEngine({ device, threads: 1 });
    const whole = await training(engine, 1);
    const expected = await whole.step(0, feeds);
    const state = await whole.save();
    for (const accumulate of device === "cpu" ? [2, 4, 8] : [4]) {
      const parts = await training(engine, accumulate);
      const found = await parts.step(0, feeds);
      assert.equal(Object.keys(found).sort(), Object.keys(expected).sort());
      for (const [name, value] of Object.entries(expected)) assert.close(found[name]!, value, 1e-5 * (1 + Math.abs(value)), name);
      agree(await parts.save(), state);
      assert.equal(Object.keys(await parts.save()), Object.keys(state), "the sum of gradients is not part of a checkpoint");
    }
    await engine.dispose();
  });
}

test("outputs are left out on demand, and the update is made all the same", async () => {
  const engine = await createEngine({ device: "cpu", threads: 1 });
  for (const accumulate of [1, 4]) {
    const [all, none] = [await training(engine, accumulate), await training(engine, accumulate)];
    const { loss, norm } = await all.step(0, feeds);
    assert.equal(await none.step(0, feeds, { outputs: [] }), {});
    assert.equal(await none.save(), await all.save());
    await none.load(await (await training(engine, accumulate)).save());
    assert.equal(await none.step(0, feeds, { outputs: ["norm", "loss"] }), { loss, norm });
  }
  await engine.dispose();
});

test("a resumed run is the unbroken one, whatever the sum held", async () => {
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const [unbroken, resumed] = [await training(engine, 4), await training(engine, 4)];
  await unbroken.step(0, feeds);
  const checkpoint = await unbroken.save();
  await unbroken.step(1, feeds);
  await resumed.step(5, { ...feeds, x: new Float32Array(BATCH * 128).fill(Number.POSITIVE_INFINITY) });
  await resumed.load(checkpoint);
  await resumed.step(1, feeds);
  assert.equal(await resumed.save(), await unbroken.save());
  await engine.dispose();
});

test("a batch that does not divide is refused by name", async () => {
  const engine = await createEngine({ device: "cpu", threads: 1 });
  await assert.rejects(training(engine, 3), /batch of 8 in 3 micro-batches.*"step".*divisor/);
  await engine.dispose();
});

test.run();
