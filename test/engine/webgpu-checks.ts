/**
 * What webgpu.test.ts checks, in a process of its own that has the driver: `node webgpu-checks.ts [NAME...]` prints a line
 * of JSON for each check, {"name", "error"?}, as soon as it is done.
 */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openCache } from "../../engine/cache.ts";
import { createEngine, type Engine } from "../../engine/engine.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { layerNorm, swish } from "../../engine/ops.ts";
import { traceProgram } from "../../engine/trace.ts";
import { createSession, ort } from "../../engine/session.ts";
import { tf, type Tensor, type Tensor4D } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { conditionInputs, type DenoiserSpec, initDenoiser, applyNetwork, embedConditions } from "../../models/denoiser.ts";
import type { OptimiserSettings } from "../../schemas/settings.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { createTraining } from "../../models/training/training.ts";
import { assert } from "../harness.ts";
import { perturbed } from "../models/parameters.ts";
import { type Case, evaluate, sample, worst } from "./parity.ts";
import { loops } from "./webgpu-loops.ts";

const engineOn = (device: "eager" | "cpu" | "webgpu"): Promise<Engine> => createEngine({ device, threads: 1, cache: false });

async function withBoth(body: (webgpu: Engine, reference: Engine) => Promise<void>, reference: "eager" | "cpu" = "eager"): Promise<void> {
  const [webgpu, other] = [await engineOn("webgpu"), await engineOn(reference)];
  try {
    await body(webgpu, other);
  } finally {
    await webgpu.dispose();
    await other.dispose();
  }
}

const pool = (x: Tensor): Tensor => tf.mean(tf.reshape(x, [2, 2, 2, 4, 3]), [2]);
const KERNELS: Record<string, Case> = {
  ...Object.fromEntries(
    (["neg", "exp", "tanh", "sigmoid", "relu", "abs", "erf", "softplus", "square", "elu", "leakyRelu"] as const).map((name) => [
      name,
      { shapes: [[3, 1, 5]], body: (x) => tf[name](x as Tensor) } satisfies Case,
    ]),
  ),
  "log, sqrt, rsqrt, reciprocal": {
    shapes: [[7]],
    range: [0.2, 3],
    body: (x) => tf.addN([tf.log(x!), tf.sqrt(x!), tf.rsqrt(x!), tf.reciprocal(x!)]),
  },
  "broadcast arithmetic": {
    shapes: [
      [2, 3, 5],
      [3, 1],
    ],
    body: (a, b) => tf.add(tf.mul(a!, b!), tf.squaredDifference(a!, b!)),
  },
  "div, pow": {
    shapes: [
      [4, 3],
      [1, 3],
    ],
    range: [0.5, 2],
    body: (a, b) => tf.add(tf.div(a!, b!), tf.pow(a!, b!)),
  },
  where: {
    shapes: [
      [4, 3],
      [4, 3],
    ],
    body: (a, b) => tf.where(tf.greater(a!, b!), a!, tf.mul(b!, 2)),
  },
  matMul: {
    shapes: [
      [5, 7],
      [7, 3],
    ],
    body: (a, b) => tf.matMul(a!, b!),
  },
  "batched, transposed": {
    shapes: [
      [2, 3, 4, 5],
      [2, 3, 6, 5],
    ],
    body: (a, b) => tf.matMul(a!, b!, false, true),
  },
  reductions: { shapes: [[2, 3, 5]], body: (x) => tf.add(tf.sum(x!, 1, true), tf.mul(tf.mean(x!, [0, 2], true), tf.max(x!, -1, true))) },
  softmax: { shapes: [[4, 6]], body: (x) => tf.softmax(x!) },
  layerNorm: { shapes: [[2, 3, 8]], body: (x) => layerNorm(x!) },
  "layer norm of a sum": {
    shapes: [
      [2, 3, 8],
      [2, 3, 8],
    ],
    body: (x, y) => layerNorm(tf.add(x!, y!)),
  },
  swish: { shapes: [[4, 3]], body: (x) => swish(x!, 1.702) },
  "concat, split, slice, pad": {
    shapes: [
      [2, 6],
      [2, 3],
    ],
    body: (a, b) =>
      tf.pad(tf.slice(tf.concat([tf.split(a!, 2, 1)[1] as Tensor, b!], 1), [0, 1], [2, 4]), [
        [1, 0],
        [0, 2],
      ]),
  },
  "many joined, and cut into many": {
    shapes: [[2, 90], [60]],
    body: (x, y) => {
      const lengths = Array.from({ length: 60 }, (_, i) => 1 + (i % 2));
      const pieces = tf.split(x!, lengths, 1).map((piece, i) => tf.mul(piece, tf.slice(y!, [i], [1])));
      return tf.concat(pieces.reverse(), 1);
    },
  },
  "transpose, reshape, gather": {
    shapes: [[2, 3, 4]],
    body: (x) => tf.gather(tf.reshape(tf.transpose(x!, [2, 0, 1]), [4, 6]), tf.tensor1d([3, 0, 0], "int32")),
  },
  convolution: {
    shapes: [
      [2, 6, 5, 3],
      [3, 3, 3, 4],
    ],
    body: (x, k) => tf.conv2d(x as Tensor4D, k as Tensor4D, 1, "same"),
  },
  "convolution by strides": {
    shapes: [
      [2, 6, 6, 3],
      [3, 3, 3, 4],
    ],
    body: (x, k) => tf.conv2d(x as Tensor4D, k as Tensor4D, 2, "same"),
  },
  "pooling by reshapes": { shapes: [[2, 4, 4, 3]], body: (x) => pool(x!) },
};

const SPEC = (kind: "dit" | "unet"): DenoiserSpec => {
  const network = { kind, condition: "class" as const, width: 8, depth: 1, heads: 2, multipliers: [1, 2] };
  return { ...settingsSchema.parse({ network }), shape: [8, 8, 2], classes: ["a", "b"], vocabulary: 0 };
};
const BATCH = 2;
const ADAM = {
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

/** A training of a tiny denoiser on fixed data, at noise level 0, whose sines and cosines WGSL has exactly. */
async function training(engine: Engine, kind: "dit" | "unet") {
  const spec = SPEC(kind);
  const image = { shape: [BATCH, ...spec.shape] };
  const made = await createTraining({
    engine,
    name: kind,
    weights: perturbed(initDenoiser(spec, 1), 0.05),
    optimiser: ADAM as OptimiserSettings,
    inputs: { x: image, target: image, noiseLevel: { shape: [BATCH] }, ...conditionInputs(spec, BATCH) },
    loss: (parameters, inputs) => {
      const { x, target, noiseLevel, ...given } = inputs as Record<"x" | "target" | "noiseLevel", Tensor>;
      const condition = embedConditions(spec, parameters, given as never);
      return { loss: tf.mean(tf.square(tf.sub(applyNetwork(spec, parameters, { x, noiseLevel, condition }), target))), metrics: {} };
    },
  });
  const data = (stream: string): Float32Array => normals({ seed: 2, stream, length: BATCH * 128 });
  const inputs = {
    x: data("x"),
    target: data("target"),
    noiseLevel: new Float32Array(BATCH),
    label: Int32Array.of(1, 0),
    keep: Float32Array.of(1, 1),
  };
  return { ...made, run: (step: number) => made.step(step, inputs) };
}

/**
 * The largest difference between two sets of weights, relative to the largest element of each tensor, or to a fiftieth
 * of the set's: a bias before a norm has a gradient that is all rounding.
 */
function apart(actual: Record<string, Weights>, expected: Record<string, Weights>): { error: number; where: string } {
  let found = { error: 0, where: "" };
  for (const [set, weights] of Object.entries(expected)) {
    const largest = Math.max(...Object.values(weights).flatMap(({ data }) => [...data.map(Math.abs)]));
    for (const [key, { data }] of Object.entries(weights)) {
      const scale = Math.max(largest / 50, ...data.map(Math.abs));
      data.forEach((value, i) => {
        const error = Math.abs((actual[set]?.[key]?.data[i] ?? Number.NaN) - value) / scale;
        if (!(error <= found.error)) found = { error, where: `${set}/${key}` };
      });
    }
  }
  return found;
}

const trains = (kind: "dit" | "unet") => () =>
  withBoth(async (webgpu, cpu) => {
    const [ours, theirs] = [await training(webgpu, kind), await training(cpu, kind)];
    for (let step = 0; step < 2; step++) {
      const [mine, other] = [await ours.run(step), await theirs.run(step)];
      assert.close(mine.loss as number, other.loss as number, 1e-5, `loss of step ${step}`);
      assert.close(mine.norm as number, other.norm as number, 1e-4 * (1 + (other.norm as number)), `norm of step ${step}`);
      if (step > 0) continue;
      const [{ first, second, network }, expected] = [await ours.save(), await theirs.save()];
      const { error, where } = apart({ first: first!, second: second! }, { first: expected.first!, second: expected.second! });
      assert.ok(error < 1e-4, `${where} is off by ${error}`);
      // Adam's first step takes the sign of each gradient, also of those that are all rounding: bounded by the rate alone.
      for (const [key, { data }] of Object.entries(expected.network!))
        assert.close(network![key]!.data, data, 2.1 * ADAM.learningRate, key);
    }
    const saved = await ours.save();
    const after = await ours.run(2);
    const moved = await ours.save();
    await ours.load(saved);
    assert.equal(await ours.save(), saved, "what was loaded is what is read");
    assert.equal(await ours.run(2), after, "a step again from what was saved");
    assert.equal(await ours.save(), moved);
  }, "cpu");

/** Reads one variable and changes another. */
const pair = (engine: Engine, set: ReturnType<Engine["variables"]>, frozen: ReturnType<Engine["constants"]>, name: string) =>
  engine.compile({
    name,
    sets: { set, frozen },
    inputs: { x: { shape: [3] } },
    run: ({ set: { a, b }, frozen: { table } }, { x }) => ({
      outputs: { sum: tf.sum(tf.mul(a as Tensor, x as Tensor)), total: tf.sum(table as Tensor), next: tf.add(b as Tensor, x as Tensor) },
      updates: { set: { b: tf.add(b as Tensor, x as Tensor), a: a as Tensor } },
    }),
  });

export const checks: Record<string, () => Promise<void>> = {
  "kernels and their gradients agree with the CPU backend": () =>
    withBoth(async (webgpu, eager) => {
      const failures: string[] = [];
      for (const [label, one] of Object.entries(KERNELS)) {
        const { error, output } = worst(await evaluate(webgpu, label, one), await evaluate(eager, label, one));
        if (!(error <= 1e-5)) failures.push(`${label}: ${output} differs by ${error}`);
      }
      assert.equal(failures, []);
    }),
  "sines and cosines are as good as WGSL asks": () =>
    withBoth(async (webgpu, eager) => {
      const one: Case = { shapes: [[50]], range: [-3, 3], body: (x) => tf.add(tf.sin(x!), tf.cos(x!)) };
      const { error } = worst(await evaluate(webgpu, "sin", one), await evaluate(eager, "sin", one));
      assert.ok(error <= 2 ** -10, `differ by ${error}`);
    }),
  "a second derivative": () =>
    withBoth(async (webgpu, eager) => {
      const penalty = (x: Tensor): Tensor => tf.square(tf.grad((t: Tensor) => tf.sum(tf.tanh(t)))(x));
      const one: Case = { shapes: [[6]], body: (x) => penalty(x!) };
      const { error, output } = worst(await evaluate(webgpu, "penalty", one), await evaluate(eager, "penalty", one));
      assert.ok(error <= 1e-5, `${output} differs by ${error}`);
    }),
  "a DiT's training step, several steps, read and load": trains("dit"),
  "a U-Net's training step, several steps, read and load": trains("unet"),
  "a graph from the cache runs as the one it was made of": async () => {
    const folder = await mkdtemp(join(tmpdir(), "onestep-cache-"));
    const inputs = { x: [2, 6, 5, 3], k: [3, 3, 3, 4], w: [4, 4] };
    const { model } = traceProgram({
      name: "stored",
      sets: {},
      inputs: Object.fromEntries(Object.entries(inputs).map(([name, shape]) => [name, { shape }])),
      run: (_, { x, k, w }) => {
        const made = (t: Tensor): Tensor =>
          layerNorm(tf.matMul(tf.reshape(tf.conv2d(t as Tensor4D, k as Tensor4D, 1, "same"), [60, 4]), w!));
        return { outputs: { y: made(x!), g: tf.grad((t: Tensor) => tf.sum(tf.square(made(t))))(x!) } };
      },
    });
    const outcomes = [];
    for (const cache of [undefined, openCache({ folder, smallest: 0 }), openCache({ folder, smallest: 0 })]) {
      const session = await createSession(model, { device: "webgpu", threads: 1, cache });
      const feeds = Object.entries(inputs).map(([name, shape]) => [`in/${name}`, new ort.Tensor("float32", sample(name, shape), shape)]);
      const results = await session.run(Object.fromEntries(feeds));
      outcomes.push(Object.values(results).map(({ data }) => [...(data as Float32Array)]));
      await session.release();
    }
    assert.is((await readdir(folder)).length, 1);
    assert.equal(outcomes[1], outcomes[0]);
    assert.equal(outcomes[2], outcomes[0]);
    await rm(folder, { recursive: true });
  },
  "half precision falls back on float32, with a note, where the device does not do it right": async () => {
    const outcomes = [];
    for (const precision of ["single", "half"] as const) {
      const engine = await createEngine({ device: "webgpu", precision, cache: false });
      const program = await engine.compile({
        name: "product",
        sets: {},
        inputs: { a: { shape: [6, 200] }, b: { shape: [200, 5] } },
        run: (_, { a, b }) => ({ outputs: { y: tf.matMul(a!, b!) } }),
      });
      const { y } = await program.run({ a: sample("a", [6, 200]), b: sample("b", [200, 5]) });
      outcomes.push({ y: [...y!], notes: program.notes });
      await engine.dispose();
    }
    const [single, half] = outcomes as [(typeof outcomes)[0], (typeof outcomes)[0]];
    assert.equal(single.notes, []);
    if (half.notes.length === 0) return assert.close(half.y, single.y, 0.01 * Math.max(...single.y.map(Math.abs)));
    assert.match(half.notes[0]!, /"product" takes 1 of its 1 .*float32.*"half".*"webgpu"/);
    assert.equal(half.y, single.y);
  },
  "buffers of replaced values are freed": async () => {
    const engine = await engineOn("webgpu");
    const length = 2 ** 18; // a megabyte
    const set = engine.variables("set", { a: { shape: [length], data: new Float32Array(length) } });
    const program = await engine.compile({
      name: "adding",
      sets: { set },
      inputs: { x: { shape: [] } },
      run: ({ set: { a } }, { x }) => ({ outputs: { copy: tf.mul(a!, 2) }, updates: { set: { a: tf.add(a!, x!) } } }),
    });
    const feeds = { x: Float32Array.of(1) };
    for (let i = 0; i < 30; i++) await program.run(feeds, { outputs: [] });
    const before = process.memoryUsage.rss(); // the driver keeps its buffers in this process's memory
    for (let i = 0; i < 150; i++) await program.run(feeds, { outputs: [] });
    const grown = process.memoryUsage.rss() - before;
    assert.ok(grown < 60 * 2 ** 20, `${grown} bytes in 150 runs that replace 300 MiB`);
    assert.is((await set.read()).a!.data[7], 180);
    await engine.dispose();
  },
  "two programs share variables and frozen weights, outputs are left out on demand": async () => {
    const engine = await engineOn("webgpu");
    const start = { a: { shape: [3], data: Float32Array.of(1, 2, 3) }, b: { shape: [3], data: new Float32Array(3) } };
    const set = engine.variables("set", start);
    const frozen = engine.constants("frozen", { table: { shape: [50, 40], data: new Float32Array(2000).fill(0.5) } });
    const [one, two] = [await pair(engine, set, frozen, "one"), await pair(engine, set, frozen, "two")];
    const feeds = { x: Float32Array.of(1, 10, 100) };
    assert.equal(Object.keys(await one.run(feeds, { outputs: [] })), []);
    assert.equal(await two.run(feeds, { outputs: ["total"] }), { total: Float32Array.of(1000) });
    assert.equal(await one.run(feeds, { outputs: ["next", "sum"] }), { next: Float32Array.of(3, 30, 300), sum: Float32Array.of(321) });
    const last = await Promise.all([two.run(feeds), one.run(feeds)]); // asked for together, run one after the other
    assert.equal(
      last.map(({ next }) => next),
      [Float32Array.of(4, 40, 400), Float32Array.of(5, 50, 500)],
    );
    assert.equal((await set.read()).b?.data, Float32Array.of(5, 50, 500));
    assert.equal((await set.read()).a?.data, Float32Array.of(1, 2, 3));
    await assert.rejects(one.run(feeds, { outputs: ["none"] }), /"one".*no output "none".*sum, total, next/);
    await engine.dispose();
    const again = await engineOn("webgpu"); // an engine after another in one process
    const fresh = again.variables("set", start);
    assert.equal((await fresh.read()).a?.data, Float32Array.of(1, 2, 3));
    await again.dispose();
  },
  ...loops,
};

/** The name that only asks whether there is an adapter: a driver may lie there without the loader that finds it. */
export const PROBE = "probe";

const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(checks);
for (const name of process.argv[1] === import.meta.filename ? wanted : []) {
  const asked = name === PROBE ? engineOn("webgpu").then((engine) => engine.dispose()) : checks[name]?.();
  const error = await asked?.then(
    () => undefined,
    (problem: Error) => problem.stack ?? problem.message,
  );
  console.log(JSON.stringify({ name, error }));
}
