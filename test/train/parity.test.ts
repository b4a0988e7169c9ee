/** Whole training programs, compiled, against the same functions run one operation at a time on TensorFlow.js's CPU backend. */
import { normals } from "../../schemas/numbers/philox.ts";
import { type Tensor, tf } from "../../engine/tfjs.ts";
import { createEngine } from "../../engine/engine.ts";
import type { Weights } from "../../engine/weights.ts";
import { type DenoiserSpec, initDenoiser } from "../../models/denoiser.ts";
import { initPerceptual, type PerceptualConfig, perceptualConfig } from "../../models/losses/perceptual.ts";
import { adamStep, RATE_INPUTS, rateInputs } from "../../models/training/optimiser.ts";
import type { Settings } from "../../schemas/settings.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { methodFor, methodNamed, optimiserOf, ownSettings } from "../../methods/registry.ts";
import { create } from "../../stages/workers/trainer.ts";
import { assert, suite } from "../harness.ts";
import { perturbed } from "../models/parameters.ts";

const test = suite("training programs");

const BATCH = 2;
const SHAPE = [8, 8, 4] as const;
const tensor = (stream: string): Float32Array => normals({ seed: 5, stream, length: BATCH * 256 });

/** The U-Net is wide enough for its convolutions to take Winograd's algorithm. */
function job(kind: "dit" | "unet"): { spec: DenoiserSpec; settings: Settings } {
  const size = kind === "dit" ? { width: 16, depth: 2 } : { width: 32, depth: 1 };
  const network = { kind, condition: "class", ...size, heads: 2, multipliers: [1, 2] };
  const settings = settingsSchema.parse({
    network,
    pretrain: { teacher: { batch: BATCH, warmup: 1 } },
    train: { batch: BATCH, warmup: 1, diffusion2gan: { adversarialStart: 0, r1Every: 1, discriminatorDepth: 2, scales: [1, 2] } },
  });
  return { spec: { ...settings, shape: [...SHAPE], classes: ["a", "b", "c"], vocabulary: 0 } as DenoiserSpec, settings };
}

const batch = { step: 0, noise: tensor("noise"), latent: tensor("clean"), conditions: { label: Int32Array.of(1, 2) } };

const DEVICES = ["eager", "cpu"] as const;
type Device = (typeof DEVICES)[number];
const engine = (device: Device) => ({ device, threads: 1 }) as never;

/** The trainer of a teacher, without its worker. */
const createTeacher = ({ spec, settings, device, start }: { spec: DenoiserSpec; settings: Settings; device: Device; start: Weights }) => {
  const method = methodFor("teacher");
  const own = ownSettings(method, settings.pretrain.teacher);
  const subject = { spec, plan: settings.simulate };
  const job = { settings: own, optimiser: optimiserOf(settings.pretrain.teacher), seed: 1, subject };
  return create({ method: method.name, job, weights: {}, start: { teacher: start }, engine: engine(device) });
};

/** The trainer of a student, without its worker. */
const createStudent = (options: {
  spec: DenoiserSpec;
  teacher: Weights;
  perceptual?: { config: PerceptualConfig; weights: Weights };
  settings: Settings;
  device: Device;
}) => {
  const { spec, teacher, perceptual, settings, device } = options;
  const method = methodNamed("diffusion2gan");
  const weights = { teacher, ...(perceptual && { perceptual: perceptual.weights }) };
  const subject = { spec, plan: settings.simulate, ...(perceptual && { perceptual: perceptual.config }) };
  const optimiser = optimiserOf(settings.train);
  const job = { settings: ownSettings(method, settings.train), optimiser, seed: 1, subject };
  return create({ method: method.name, job, weights, engine: engine(device) });
};

const largest = (values: Float32Array): number => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/**
 * The largest difference of any variable, relative to its largest element, or to a thousandth of its set's where that is
 * more: the gradient of a single bias may be next to nothing, a sum of large terms of either sign.
 */
function furthest(actual: Record<string, Weights>, expected: Record<string, Weights>): { error: number; at: string } {
  let found = { error: 0, at: "" };
  for (const [set, weights] of Object.entries(expected)) {
    const least = 1e-3 * Math.max(...Object.values(weights).map(({ data }) => largest(data)));
    for (const [name, { data }] of Object.entries(weights)) {
      const scale = Math.max(largest(data), least);
      const difference = data.reduce((most, value, i) => Math.max(most, Math.abs(value - actual[set]![name]!.data[i]!)), 0);
      if (!(difference / scale <= found.error)) found = { error: difference / scale, at: `${set} ${name}` };
    }
  }
  return found;
}

/**
 * State in the midst of a training. In the first step Adam divides each gradient by its own size, so that of an element
 * that happens to be nearly zero only rounding errors would be compared. So would they in the first moment of the
 * discriminator's last biases, whose gradient is what real and generated rows leave of each other.
 */
function midway(state: Record<string, Weights>): Record<string, Weights> {
  const filled = Object.entries(state).map(([set, weights]) => {
    const [isFirst, isSecond] = [/first$/i.test(set), /second$/i.test(set)];
    if (!isFirst && !isSecond) return [set, weights];
    const moments = Object.entries(weights).map(([name, { shape, data }]) => {
      const draws = normals({ seed: 9, stream: set + name, length: data.length });
      return [name, { shape, data: draws.map((value) => (isFirst ? 1e-2 : 1e-3) * (1 + Math.abs(value))) }];
    });
    return [set, Object.fromEntries(moments)];
  });
  return Object.fromEntries(filled);
}

for (const kind of ["dit", "unet"] as const) {
  const { spec, settings } = job(kind);
  const weights = perturbed(initDenoiser(spec, 1), 0.02);

  test(
    `${kind}: a teacher's step`,
    async () => {
      const after = [];
      for (const device of DEVICES) {
        const trainer = await createTeacher({ spec, settings, device, start: weights });
        await trainer.load(midway(await trainer.save()));
        await trainer.step({ step: 0, latent: tensor("clean"), conditions: { label: Int32Array.of(1, 2) } });
        after.push(await trainer.save());
      }
      const { error, at } = furthest(after[1]!, after[0]!);
      if (process.env.VERBOSE) console.log(kind, error, at);
      assert.ok(error <= 1e-5, `${at} is off by ${error}`);
    },
    { seconds: 240 },
  );

  test(
    `${kind}: a student's step: generator, discriminator and R1`,
    async () => {
      const after = [];
      for (const device of DEVICES) {
        const trainer = await createStudent({ spec, teacher: weights, settings, device });
        await trainer.load(midway(await trainer.save()));
        const metrics = await trainer.step({
          ...batch,
          image: { latent: tensor("image").subarray(0, 256), conditions: { label: Int32Array.of(0) } },
        });
        assert.ok("r1" in metrics && "d_loss" in metrics, "all three updates ran");
        after.push(await trainer.save());
      }
      const { error, at } = furthest(after[1]!, after[0]!);
      if (process.env.VERBOSE) console.log(kind, error, at);
      assert.ok(error <= 1e-5, `${at} is off by ${error}`);
    },
    { seconds: 240 },
  );
}

test(
  "a student's step against heads over frozen features, under the teacher's discriminator as well and alone",
  async () => {
    const { spec, settings } = job("dit");
    const weights = perturbed(initDenoiser(spec, 1), 0.02);
    const config = perceptualConfig({ shape: SHAPE, width: 16, sigmaData: 0.5, classes: 3, words: [] });
    const perceptual = { config, weights: perturbed(initPerceptual(config, 3), 0.02) };
    for (const discriminator of ["both", "features"] as const) {
      const after = [];
      for (const device of DEVICES) {
        const group = { ...(settings.train.diffusion2gan as object), discriminator };
        const changed = { ...settings, train: { ...settings.train, diffusion2gan: group } };
        const trainer = await createStudent({ spec, teacher: weights, perceptual, settings: changed, device });
        await trainer.load(midway(await trainer.save()));
        await trainer.step({ ...batch, image: { latent: tensor("image").subarray(0, 256), conditions: { label: Int32Array.of(0) } } });
        after.push(await trainer.save());
      }
      const { error, at } = furthest(after[1]!, after[0]!);
      if (process.env.VERBOSE) console.log(discriminator, error, at);
      assert.ok(error <= 1e-5, `${discriminator}: ${at} is off by ${error}`);
      assert.is(
        Object.keys(after[1]!["discriminator.network"]!).some((name) => name.startsWith("blocks.")),
        discriminator === "both",
      );
    }
  },
  { seconds: 240 },
);

test(
  "the discriminator sees a real image in the last row's place, with its own class and without any noise",
  async () => {
    const { spec, settings } = job("dit");
    const weights = perturbed(initDenoiser(spec, 1), 0.02);
    const trainer = await createStudent({ spec, teacher: weights, settings, device: "cpu" });
    const state = await trainer.save();
    const start = { ...state, "discriminator.network": perturbed(state["discriminator.network"]!, 0.1) };
    /** Mean logit of the real rows, by a discriminator all of whose layers are at work. */
    const real = async (changes: Partial<Parameters<typeof trainer.step>[0]>): Promise<number> => {
      await trainer.load(start);
      const { d_real } = await trainer.step({ ...batch, ...changes });
      return d_real!;
    };
    const replaced = (values: Float32Array, stream: string): Float32Array =>
      Float32Array.from([...values.subarray(0, 256), ...tensor(stream).subarray(256)]);
    const image = (stream: string, label: number) => ({
      latent: tensor(stream).subarray(0, 256),
      conditions: { label: Int32Array.of(label) },
    });
    const [otherNoise, otherLatent] = [replaced(batch.noise, "other"), replaced(batch.latent, "other")];

    const pairs = await real({});
    assert.not.equal(await real({ noise: otherNoise }), pairs);
    assert.not.equal(await real({ latent: otherLatent }), pairs);

    const seen = await real({ image: image("image", 0) });
    assert.is(await real({ image: image("image", 0), noise: otherNoise, latent: otherLatent }), seen);
    assert.not.equal(await real({ image: image("image", 1) }), seen);
    assert.not.equal(await real({ image: image("another", 0) }), seen);
  },
  { seconds: 240 },
);

test("100 steps of AdamW on a well-conditioned problem stay together", async () => {
  const shape = { x: [16, 8], y: [16, 6] };
  const start: Weights = Object.fromEntries(
    Object.entries({ a: [8, 16], b: [16, 6] }).map(([name, dims]) => [
      name,
      { shape: dims, data: normals({ seed: 2, stream: name, length: dims[0]! * dims[1]! }).map((v) => 0.3 * v) },
    ]),
  );
  const config = { beta1: 0.9, beta2: 0.999, weightDecay: 0.01, clip: 1, learningRate: 1e-2, warmup: 1, decay: 0, steps: 100 };
  const ends: Weights[] = [];
  for (const device of DEVICES) {
    const made = await createEngine({ device, threads: 1 });
    const zeros = Object.fromEntries(
      Object.entries(start).map(([name, { shape: dims, data }]) => [name, { shape: dims, data: new Float32Array(data.length) }]),
    );
    const sets = {
      network: made.variables("network", start),
      first: made.variables("first", zeros),
      second: made.variables("second", zeros),
    };
    const program = await made.compile({
      name: "step",
      sets,
      inputs: { x: { shape: shape.x }, y: { shape: shape.y }, ...RATE_INPUTS },
      run: ({ network, first, second }, { x, y, ...rates }) => {
        const loss = (a: Tensor, b: Tensor): Tensor => tf.mean(tf.square(tf.sub(tf.matMul(tf.tanh(tf.matMul(x!, a)), b), y!)));
        const { value, grads } = tf.valueAndGrads(loss as never)([network.a!, network.b!]);
        const next = adamStep({
          state: { parameters: network, first, second },
          gradients: { a: grads[0]!, b: grads[1]! },
          rates: rates as never,
          config,
        });
        return { outputs: { loss: value }, updates: { network: next.parameters, first: next.first, second: next.second } };
      },
    });
    const feeds = { x: normals({ seed: 2, stream: "x", length: 128 }), y: normals({ seed: 2, stream: "y", length: 96 }) };
    for (let step = 0; step < 100; step++) await program.run({ ...feeds, ...rateInputs(step, config) });
    ends.push(await sets.network.read());
    await made.dispose();
  }
  const { error, at } = furthest({ network: ends[1]! }, { network: ends[0]! });
  if (process.env.VERBOSE) console.log(error, at);
  assert.ok(error <= 1e-3, `${at} is off by ${error}`);
});

test.run();
