import "../../engine/gradients.ts";
import { createEngine } from "../../engine/engine.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { applyNetwork, type DenoiserSpec, embedConditions, initDenoiser, parameterGroups } from "../../models/denoiser.ts";
import type { Parameters } from "../../models/layers.ts";
import { type Adapter, effective, initAdapter, merge, unmerge } from "../../models/training/adapters.ts";
import { rateInputs } from "../../models/training/optimiser.ts";
import { compileStep } from "../../models/training/step.ts";
import { createTrained } from "../../models/training/trained.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { optimiserSettings } from "../../schemas/settings.ts";
import { assert, suite } from "../harness.ts";
import { noise, perturbed, toParameters } from "./parameters.ts";

const test = suite("adapters");

const lora = (...targets: string[]): Adapter => ({ lora: { rank: 3, alpha: 6, targets } });

function networkOf(kind: "dit" | "unet") {
  const network = { kind, condition: "class", width: 8, depth: kind === "dit" ? 2 : 1, heads: 2, multipliers: [1, 2] };
  const spec: DenoiserSpec = { ...settingsSchema.parse({ network }), shape: [8, 8, 2], classes: ["a", "b"], vocabulary: 0 };
  return { spec, weights: perturbed(initDenoiser(spec, 1), 0.05), groups: parameterGroups(spec) };
}

/** Mean square of the network's output for two rows. */
function outputOf(spec: DenoiserSpec, parameters: Parameters): Tensor {
  const given = { label: tf.tensor1d([0, 1], "int32"), keep: tf.ones([2]) };
  const condition = embedConditions(spec, parameters, given);
  return applyNetwork(spec, parameters, { x: noise("x", [2, 8, 8, 2]), noiseLevel: tf.tensor1d([-0.5, 0.3]), condition });
}
const lossOf = (spec: DenoiserSpec, parameters: Parameters): Tensor => tf.mean(tf.square(outputOf(spec, parameters)));

const far = (a: Weights, b: Weights): number =>
  Math.max(...Object.entries(a).map(([name, { data }]) => Math.max(...data.map((value, i) => Math.abs(value - b[name]!.data[i]!)))));

test.before(async () => {
  await tf.setBackend("cpu");
});

test("a LoRA starts as the network it is for, bit by bit, and has few parameters", () => {
  for (const kind of ["dit", "unet"] as const) {
    const { spec, weights, groups } = networkOf(kind);
    const adapter = lora("attention");
    const { trained, frozen } = initAdapter({ weights, adapter, groups, seed: 4 });
    const full = effective({ trained: toParameters(trained), frozen: toParameters(frozen), adapter });
    assert.equal([...outputOf(spec, full).dataSync()], [...outputOf(spec, toParameters(weights)).dataSync()]);
    assert.equal(frozen, weights);
    assert.ok(Object.keys(trained).length > 0 && Object.keys(trained).every((name) => name.includes(".attention.")));
    assert.equal(initAdapter({ weights, adapter, groups, seed: 4 }).trained, trained);
  }
});

test("its products are those of the definition, for linear and convolution kernels; unmerging gives the network back", () => {
  const { spec, weights, groups } = networkOf("unet");
  const adapter = lora("attention", "conv");
  const { trained: initial, frozen } = initAdapter({ weights, adapter, groups, seed: 4 });
  const trained = perturbed(initial, 0.3);
  const merged = merge({ trained, frozen, adapter });
  for (const name of ["encoder.1.blocks.0.attention.qkv.kernel", "encoder.0.blocks.0.conv0.kernel"]) {
    const [down, up] = [trained[`${name}.lora.down`]!, trained[`${name}.lora.up`]!];
    assert.equal(down.shape, [...weights[name]!.shape.slice(0, -1), 3]);
    // An einsum over every axis, which shares nothing with a flattened matrix product.
    const letters = "hwi".slice(-down.shape.length + 1);
    const product = tf.einsum(`${letters}r,ro->${letters}o`, tf.tensor(down.data, down.shape), tf.tensor(up.data, up.shape));
    const expected = tf.add(tf.tensor(weights[name]!.data, weights[name]!.shape), tf.mul(product, 2));
    assert.close(merged[name]!.data, expected.dataSync(), 1e-6);
    assert.ok(far({ [name]: merged[name]! }, weights) > 0.01);
  }
  const untouched = Object.keys(weights).filter((name) => !trained[`${name}.lora.down`]);
  assert.ok(untouched.includes("noise.in.kernel"));
  for (const name of untouched) assert.is(merged[name], weights[name]);
  assert.ok(far(unmerge({ merged, trained, adapter }), weights) < 1e-6);
  // What a program computes from the parts is what the merged network computes.
  const full = effective({ trained: toParameters(trained), frozen: toParameters(frozen), adapter });
  assert.close(outputOf(spec, full).dataSync(), outputOf(spec, toParameters(merged)).dataSync(), 1e-4);
});

test("the gradient of the trained parts equals the difference quotient", () => {
  for (const [kind, adapter] of [
    ["dit", lora("attention", "mlp")],
    ["unet", lora("conv")],
    ["dit", { only: ["modulation", "^classes$"] }],
  ] as const) {
    const { spec, weights, groups } = networkOf(kind);
    const parts = initAdapter({ weights, adapter: adapter as Adapter, groups, seed: 4 });
    const trained = toParameters(perturbed(parts.trained, 0.1));
    const frozen = toParameters(parts.frozen);
    const names = Object.keys(trained);
    const loss = (...values: Tensor[]): Tensor => {
      const own = Object.fromEntries(names.map((name, i) => [name, values[i]!]));
      return lossOf(spec, effective({ trained: own, frozen, adapter: adapter as Adapter }));
    };
    const values = names.map((name) => trained[name]!);
    const directions = names.map((name) => noise(`direction/${name}`, trained[name]!.shape));
    const gradients = tf.grads(loss as never)(values);
    const slope = gradients.reduce((sum, g, i) => sum + tf.sum(tf.mul(g, directions[i]!)).dataSync()[0]!, 0);
    const at = (h: number) => loss(...values.map((value, i) => tf.add(value, tf.mul(directions[i]!, h)))).dataSync()[0]!;
    const quotient = (8 * (at(1e-3) - at(-1e-3)) - (at(2e-3) - at(-2e-3))) / 12e-3;
    assert.close(quotient / slope, 1, 5e-3, kind);
  }
});

test("a training step updates the trained parts, has moments for them alone, and leaves the frozen ones", async () => {
  const { spec, weights, groups } = networkOf("dit");
  const adapter = lora("attention");
  const { trained, frozen } = initAdapter({ weights, adapter, groups, seed: 4 });
  const engine = await createEngine({ device: "cpu", threads: 1 });
  try {
    const set = createTrained(engine, "lora", trained);
    const base = engine.variables("base", frozen);
    const optimiser = optimiserSettings.parse({ warmup: 0, weightDecay: 0 });
    const step = await compileStep({
      engine,
      name: "lora step",
      trained: set,
      others: { base },
      optimiser,
      inputs: {},
      loss: (parameters, _, { base: read }) => ({
        loss: lossOf(spec, effective({ trained: parameters, frozen: read as Parameters, adapter })),
        metrics: {},
      }),
    });
    await step({ decay: Float32Array.of(0.9), ...rateInputs(1, optimiser) });
    assert.equal(await base.read(), weights);
    const after = await set.network.read();
    assert.equal(Object.keys(await set.first.read()), Object.keys(trained));
    // The first factors stand still at first, as the second ones are zero: the product rule.
    for (const [name, { data }] of Object.entries(after)) {
      const moved = Math.max(...data.map((value, i) => Math.abs(value - trained[name]!.data[i]!)));
      if (name.endsWith(".up")) assert.ok(moved > 1e-5, name);
      else assert.is(moved, 0, name);
    }
  } finally {
    await engine.dispose();
  }
});

test("some parameters alone are trained, the others stay, and together they are the network", () => {
  const { weights, groups } = networkOf("unet");
  const adapter: Adapter = { only: ["norm", "\\.bias$"] };
  const { trained, frozen } = initAdapter({ weights, adapter, groups, seed: 0 });
  assert.ok(Object.keys(trained).every((name) => name.includes("norm") || name.endsWith(".bias")));
  assert.not(Object.keys(frozen).some((name) => name.includes("norm") || name.endsWith(".bias")));
  assert.equal(merge({ trained, frozen, adapter }), weights);
  assert.equal(unmerge({ merged: weights, trained, adapter }), frozen);
  assert.equal(initAdapter({ weights, adapter: "all", groups, seed: 0 }), { trained: weights, frozen: {} });
});

test("unknown targets and patterns that match nothing are refused, with the groups there are", () => {
  const { weights, groups } = networkOf("dit");
  const attempt = (adapter: Adapter) => () => initAdapter({ weights, adapter, groups, seed: 0 });
  const all = /attention, mlp, modulation, embedding, output, qkv, bulk, classes/;
  for (const target of ["conv", "^nowhere", "("]) {
    assert.throws(attempt({ only: [target] }), all);
    assert.throws(attempt(lora("attention", target)), all);
  }
  assert.throws(attempt(lora("classes")), /no kernel/); // a table of classes is no kernel
});

test.run();
