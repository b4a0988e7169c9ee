/** YOSO: what a step shows its programs, and their losses, against float64 formulas written here. */
import "../../engine/gradients.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import type { Batch, Job, Kit, Subject, Update } from "../../methods/method.ts";
import { method } from "../../methods/yoso.ts";
import { createPooledCritic } from "../../models/critics/pooled.ts";
import { applyNetwork, type DenoiserSpec, embedConditions, initDenoiser } from "../../models/denoiser.ts";
import { initPerceptual, type PerceptualConfig } from "../../models/losses/perceptual.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { normals, uniforms } from "../../schemas/numbers/philox.ts";
import { assert, suite } from "../harness.ts";
import { noise as normal, perturbed, toParameters } from "../models/parameters.ts";

const test = suite("yoso");

type Own = Parameters<NonNullable<typeof method.student>>[0];
type Parameterisation = DenoiserSpec["diffusion"]["parameterisation"];

const BATCH = 6;
const STEP = 14;
const bias = 0.7;

/** One pixel of two channels, in one patch. */
function specOf(parameterisation: Parameterisation = "edm", kind: "dit" | "unet" = "dit"): DenoiserSpec {
  const network = { kind, condition: "none", width: 8, depth: 1, heads: 1, patch: 1, multipliers: [1], attentionLevels: [] };
  const { network: whole, diffusion } = settingsSchema.parse({ network, diffusion: { parameterisation } });
  return { shape: [1, 1, 2], network: whole, diffusion, classes: [], vocabulary: 0 };
}

/** A network whose answer is the same number everywhere, so that what is made of it is known in closed form. */
function constantNetwork(spec: DenoiserSpec): Weights {
  const weights = initDenoiser(spec, 1);
  weights["final.out.bias"] = { shape: [2], data: new Float32Array(2).fill(bias) };
  return weights;
}

const perceptual: PerceptualConfig = { shape: [1, 1, 2], width: 4, stages: 1, sigmaData: 0.5, classes: 2, words: [] };

function kitOf(own: Partial<Own>, spec = specOf()): Kit<Own> {
  const settings = method.settings.parse(own) as Own;
  const student = method.student?.(settings, spec, {}) ?? spec;
  const subject: Subject = { spec, perceptual, ...(student !== spec && { student }) };
  const { train } = settingsSchema.parse({ train: { batch: BATCH, steps: 10 } });
  const weights = { teacher: constantNetwork(spec), perceptual: initPerceptual(perceptual, 2) };
  return { settings, optimiser: train, seed: 5, subject, weights };
}

const clean = normals({ seed: 1, stream: "clean", length: BATCH * 2 }).map((value) => value / 2);
const drawn = {
  noise: normals({ seed: 5, stream: "yoso/noise", offset: STEP * BATCH * 2, length: BATCH * 2 }),
  time: uniforms({ seed: 5, stream: "yoso/time", offset: STEP * BATCH, length: BATCH }),
  prior: normals({ seed: 5, stream: "yoso/prior", offset: STEP * BATCH * 2, length: BATCH * 2 }),
};

/** What a step runs, in order, and on what. */
async function seenOf(kit: Kit<Own>, batch: Partial<Batch> = {}) {
  const runs: { program: string; inputs: Record<string, Float32Array>; updates?: number }[] = [];
  const job: Job<Own> = kit;
  await method.step({ step: STEP, latent: clean, conditions: {}, ...batch }, job, async (program, inputs, { updates } = {}) => {
    runs.push({ program, inputs: inputs as Record<string, Float32Array>, ...(updates !== undefined && { updates }) });
    return { loss: 0 };
  });
  return runs;
}

/** The loss and metrics of an update on what a step gave it. */
function lossOf(kit: Kit<Own>, program: string, inputs: Record<string, Float32Array>, networks: Record<string, Weights>) {
  const update = method.programs(kit)[program] as Update;
  assert.equal(
    Object.keys(inputs)
      .filter((name) => name !== "keep")
      .sort(),
    Object.keys(update.inputs).sort(),
    program,
  );
  const tensors = Object.entries(update.inputs).map(([name, { shape }]) => [name, tf.tensor(inputs[name]!, [...shape])]);
  const read = Object.fromEntries((update.reads ?? []).map((role) => [role, toParameters(networks[role] as Weights)]));
  const { loss, metrics } = update.loss(toParameters(networks[update.trains] as Weights), Object.fromEntries(tensors), read);
  const scalar = (tensor: Tensor): number => tensor.dataSync()[0]!;
  return { loss: scalar(loss), ...Object.fromEntries(Object.entries(metrics).map(([name, of]) => [name, scalar(of)])) } as Record<
    string,
    number
  >;
}

/** Time 0 .. 1000 of Stable Diffusion at a level, by bisection of its betas' integral. */
function stableDiffusionTime(sigma: number): number {
  const [u0, u1] = [Math.sqrt(0.85), Math.sqrt(12)];
  const decay = (t: number): number => ((u0 + t * (u1 - u0)) ** 3 - u0 ** 3) / (3 * (u1 - u0));
  let [low, high] = [0, 4];
  for (let i = 0; i < 80; i++) {
    const middle = (low + high) / 2;
    if (Math.expm1(decay(middle)) < sigma ** 2) low = middle;
    else high = middle;
  }
  return 1000 * low;
}

/** Stable Diffusion's level at a time in [0, 1], of data of deviation 0.5. */
function levelOf(time: number): number {
  const [u0, u1] = [Math.sqrt(0.85), Math.sqrt(12)];
  const decay = ((u0 + time * (u1 - u0)) ** 3 - u0 ** 3) / (3 * (u1 - u0));
  return time <= 0 ? 0 : 0.5 * Math.sqrt(Math.expm1(decay));
}

/** LCM's G of an EDM denoiser whose network answers `bias` everywhere. */
function made(x: number, sigma: number): number {
  if (sigma === 0) return x;
  const [scaled, sd] = [(10 * stableDiffusionTime(sigma)) ** 2, 0.5];
  const denoised = (sd ** 2 / (sigma ** 2 + sd ** 2)) * x + ((sigma * sd) / Math.sqrt(sigma ** 2 + sd ** 2)) * bias;
  return (0.25 / (scaled + 0.25)) * (x / Math.sqrt(1 + sigma ** 2)) + Math.sqrt(scaled / (scaled + 0.25)) * denoised;
}

/** What G makes of every element of the batch, each row's time lowered by `by`. */
const madeAt = (by: number, from: ArrayLike<number> = clean, times: ArrayLike<number> = drawn.time): number[] =>
  Array.from({ length: BATCH * 2 }, (_, i) => {
    const sigma = levelOf(times[i >> 1]! - by);
    return made(from[i]! + sigma * drawn.noise[i]!, sigma);
  });

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const rows = <T>(of: (row: number) => T): T[] => Array.from({ length: BATCH }, (_, row) => of(row));
const squares = (a: ArrayLike<number>, b: ArrayLike<number>): number[] =>
  rows((row) => mean([0, 1].map((c) => (a[2 * row + c]! - b[2 * row + c]!) ** 2)));

/** The perceptual distance of single pixels: only the middle of each kernel sees them. */
function featureDistance(weights: Weights, a: ArrayLike<number>, b: ArrayLike<number>): number[] {
  const layer = (name: string, x: number[]): number[] => {
    const { data, shape } = weights[`${name}.kernel`]!;
    const [, , inputs, outputs] = shape as [number, number, number, number];
    return Array.from({ length: outputs }, (_, o) =>
      Math.max(
        0,
        x.reduce((sum, value, i) => sum + value * data[(4 * inputs + i) * outputs + o]!, weights[`${name}.bias`]!.data[o]!),
      ),
    );
  };
  const unit = (x: ArrayLike<number>, row: number): number[] => {
    const features = layer("stages.0.out", layer("stages.0.in", [x[2 * row]! / 0.5, x[2 * row + 1]! / 0.5]));
    const length = Math.sqrt(features.reduce((sum, value) => sum + value * value, 1e-8));
    return features.map((value) => value / length);
  };
  return rows((row) => unit(a, row).reduce((sum, value, i) => sum + (value - unit(b, row)[i]!) ** 2, 0));
}

test.before(async () => {
  await tf.setBackend("cpu");
});

test("consistency and anchor are the weighted distances of the paper, in units of the data's deviation", async () => {
  const kit = kitOf({ adversarialWeight: 0 });
  const [{ program, inputs } = { program: "", inputs: {} }, ...others] = await seenOf(kit);
  assert.equal([program, others.length], ["generator", 0]);
  const found = lossOf(kit, program, inputs, { ...kit.weights, student: constantNetwork(specOf()) });

  const levels = rows((row) => levelOf(drawn.time[row]!) / 0.5);
  const before = rows((row) => levelOf(drawn.time[row]! - 0.025) / 0.5);
  const apart = squares(madeAt(0), clean).map((square) => square / 0.25);
  const anchor = mean(apart.map((square, row) => Math.min(levels[row]! ** -2, 5) * square));
  const features = featureDistance(kit.weights.perceptual as Weights, madeAt(0), madeAt(0.025));
  const consistency = mean(features.map((distance, row) => Math.min(1 / (levels[row]! - before[row]!), 5) * distance));
  assert.close(found.anchor!, anchor, 1e-4 * anchor);
  assert.close(found.consistency!, consistency, 1e-3 * consistency);
  assert.close(found.loss!, 2 * consistency + 0.5 * anchor, 1e-3 * found.loss!);

  const plain = kitOf({ adversarialWeight: 0, consistencyLoss: "squared" });
  const [same] = await seenOf(plain);
  const squared = lossOf(plain, "generator", same!.inputs, { ...kit.weights, student: constantNetwork(specOf()) });
  const differences = squares(madeAt(0), madeAt(0.025)).map((square) => square / 0.25);
  const weighed = mean(differences.map((square, row) => Math.min(1 / (levels[row]! - before[row]!), 5) * square));
  assert.close(squared.consistency!, weighed, 1e-3 * weighed);
});

test("the discriminator goes first and sees predictions from a quarter of the range below, or the data", async () => {
  const kit = kitOf({});
  const runs = await seenOf(kit);
  assert.equal(
    runs.map(({ program, updates }) => [program, updates]),
    [
      ["discriminator", STEP],
      ["generator", undefined],
    ],
  );
  const student = constantNetwork(specOf());
  const critic = createPooledCritic({ spec: specOf(), depth: 3 });
  const weights = perturbed(critic.init(kit.weights.teacher as Weights, 3), 0.3);
  const told = tf.tensor1d(rows((row) => Math.log(levelOf(drawn.time[row]!)) / 4));
  const logits = (values: ArrayLike<number>): number[] => {
    const x = tf.tensor(Float32Array.from(values), [BATCH, 1, 1, 2]);
    return [...critic.logit(toParameters(weights), { x, noiseLevel: told, given: {} }).dataSync()];
  };
  const early = rows((row) => drawn.time[row]! <= 0.25);
  assert.ok(early.some(Boolean) && !early.every(Boolean), "the draws have both kinds");
  const coop = madeAt(0.25);
  early.forEach((is, row) => is && assert.equal(coop.slice(2 * row, 2 * row + 2), [...clean.subarray(2 * row, 2 * row + 2)]));

  const softplus = (u: number): number => Math.log1p(Math.exp(-Math.abs(u))) + Math.max(u, 0);
  const [real, fake] = [logits(coop), logits(madeAt(0))];
  const found = lossOf(kit, "discriminator", runs[0]!.inputs, { student, discriminator: weights });
  assert.close(found.loss!, mean(real.map((u) => softplus(-u))) + mean(fake.map(softplus)), 1e-4);
  assert.close([found.real!, found.fake!], [mean(real), mean(fake)], 1e-4);
  assert.close(found.accuracy!, (mean(real.map((u) => Number(u > 0))) + mean(fake.map((u) => Number(u < 0)))) / 2, 1e-6);

  const generator = lossOf(kit, "generator", runs[1]!.inputs, { ...kit.weights, student, discriminator: weights });
  assert.close(generator.adversarial!, mean(fake.map((u) => softplus(-u))), 1e-4);
  const { consistency, anchor, adversarial } = generator as Record<"consistency" | "anchor" | "adversarial", number>;
  assert.close(generator.loss!, 2 * consistency + 0.5 * anchor + adversarial, 1e-4);

  const penalised = await seenOf(kitOf({ r1Weight: 0.5, r1Every: 7 }));
  assert.equal(
    penalised.map(({ program, updates }) => [program, updates]),
    [
      ["discriminator", STEP + 2],
      ["r1", STEP + 3],
      ["generator", undefined],
    ],
  );
  assert.equal(
    (await seenOf(kitOf({ r1Weight: 0.5, r1Every: 4 }))).map(({ updates }) => updates),
    [STEP + 4, undefined],
  );
  const { loss, penalty } = lossOf(kitOf({ r1Weight: 0.5, r1Every: 7 }), "r1", penalised[1]!.inputs, { student, discriminator: weights });
  const slopes = coop.map((_, i) => {
    const moved = (by: number): number => logits(coop.map((value, at) => value + (at === i ? by : 0)))[i >> 1]!;
    return ((moved(0.02) - moved(-0.02)) / 0.04) ** 2;
  });
  assert.close(penalty!, slopes.reduce((a, b) => a + b) / BATCH, 2e-2 * penalty!);
  assert.close(loss!, 0.25 * 7 * penalty!, 1e-5 * loss!);

  const averaged = kitOf({ averageLogits: true });
  const ofMean = lossOf(averaged, "discriminator", runs[0]!.inputs, { student, discriminator: weights });
  assert.close(ofMean.loss!, softplus(-mean(real)) + softplus(mean(fake)), 1e-4);

  const direct = kitOf({ adversarial: "data" });
  const [first] = await seenOf(direct);
  assert.equal([...first!.inputs.clean!], [...clean]);
  const ofData = lossOf(direct, "discriminator", first!.inputs, { student, discriminator: weights });
  assert.close(ofData.loss!, mean(logits(clean).map((u) => softplus(-u))) + mean(fake.map(softplus)), 1e-4);
});

test("rows that begin as sampling begins have the prior for a latent, are not anchored, and face the data as ever", async () => {
  const kit = kitOf({ startShare: 1 });
  const moments = { mean: [0.1, -0.2], std: [0.5, 0] };
  const [discriminator, generator] = await seenOf({ ...kit, subject: { ...kit.subject, moments } });
  const begun = clean.map((_, i) => moments.mean[i % 2]! + moments.std[i % 2]! * drawn.prior[i]!);
  const ones = new Array<number>(BATCH).fill(1);
  const states = (by: number, from: ArrayLike<number>): number[] => Array.from(drawn.noise, (n, i) => from[i]! + levelOf(1 - by) * n);
  assert.close([...generator!.inputs["fake.x"]!], states(0, begun), 1e-4);
  assert.close([...generator!.inputs["cons.x"]!], states(0.025, begun), 1e-4);
  assert.close([...discriminator!.inputs["coop.x"]!], states(0.25, clean), 1e-4);
  assert.equal(
    [...generator!.inputs.anchor!],
    ones.map(() => 0),
  );
});

test("the adaptation is the squared error of v against the teacher's, on its schedule and then on the other", async () => {
  const spec = specOf("vp-epsilon");
  const kit = kitOf({ adapt: "v-zero", vSteps: 3, zeroSteps: 2 }, spec);
  const [u0, u1] = [Math.sqrt(0.85), Math.sqrt(12)];
  const alphaAt = (t: number): number => Math.exp(-((u0 + t * (u1 - u0)) ** 3 - u0 ** 3) / (6 * (u1 - u0)));
  for (const step of [2, 3]) {
    const times = uniforms({ seed: 5, stream: "yoso/time", offset: step * BATCH, length: BATCH });
    const noise = normals({ seed: 5, stream: "yoso/noise", offset: step * BATCH * 2, length: BATCH * 2 });
    const [run, ...others] = await seenOf(kit, { step });
    assert.equal([run!.program, others.length], ["adaptation", 0]);
    const found = lossOf(kit, "adaptation", run!.inputs, { ...kit.weights, student: constantNetwork(spec) });
    const errors = Array.from(clean, (value, i) => {
      const [alpha, last] = [alphaAt(times[i >> 1]!), alphaAt(1)];
      const own = step < 3 ? alpha : (alpha - last) / (1 - last);
      const [s, ownS] = [Math.sqrt(1 - alpha ** 2), Math.sqrt(1 - own ** 2)];
      const predicted = (alpha * value + s * noise[i]! - s * bias) / alpha; // the teacher says that epsilon is `bias`
      return (bias - (own * bias - ownS * predicted)) ** 2;
    });
    assert.close(found.velocity!, mean(errors), 1e-3 * mean(errors), `step ${step}`);
    const z = Array.from(clean, (value, i) => {
      const alpha = alphaAt(times[i >> 1]!);
      const own = step < 3 ? alpha : (alpha - alphaAt(1)) / (1 - alphaAt(1));
      return own * value + Math.sqrt(1 - own ** 2) * noise[i]!;
    });
    assert.close([...run!.inputs.z!], z, 1e-5);
  }
  const after = await seenOf(kit, { step: 5 });
  assert.equal(
    after.map(({ program, updates }) => [program, updates]),
    [
      ["discriminator", 0],
      ["generator", undefined],
    ],
  );
  assert.is(method.programs(kitOf({ adapt: "v-zero", from: "scratch" })).adaptation, undefined);
});

for (const parameterisation of ["edm", "flow", "vp-epsilon", "vp-v"] as const) {
  test(`${parameterisation}: every number that a step shows is finite, at the ends of the range too, on every schedule`, async () => {
    for (const adapt of ["none", "v", "v-zero"] as const) {
      const kit = kitOf({ adapt, vSteps: 1, zeroSteps: 1, startShare: 0.4 }, specOf(parameterisation));
      for (let step = 0; step < 40; step++) {
        for (const { program, inputs } of await seenOf(kit, { step })) {
          for (const [name, values] of Object.entries(inputs)) assert.ok(values.every(Number.isFinite), `${adapt} ${program} ${name}`);
        }
      }
    }
  });
}

test("samples begin at the prior, at the end of the student's own range, and in two and four steps are renoised on the way", () => {
  const subject: Subject = { spec: specOf() };
  const own = method.settings.parse({}) as Own;
  const sampler = method.sampler!(own, subject);
  assert.equal([sampler.between, sampler.guidance], ["renoise", 1]);
  assert.close(sampler.times as number[], [0.5 * 14.46], 0.005); // as many deviations as Stable Diffusion ends at
  assert.equal(sampler.prior, { mean: [0, 0], std: [0.5, 0.5] });
  assert.close(sampler.choices!["2"]!, [1, 0.5].map(levelOf), 1e-9);
  assert.close(sampler.choices!["4"]!, [1, 0.75, 0.5, 0.25].map(levelOf), 1e-9);
  assert.is(method.sampler!({ ...own, prior: false }, subject).prior, undefined);
  const moments = { mean: [0, 0], std: [0.5, 0] };
  assert.equal(method.sampler!(own, { ...subject, moments }).prior, moments);
  const zero = { ...own, adapt: "v-zero" as const };
  const student = method.student!(zero, specOf("vp-epsilon"), {});
  assert.equal(method.sampler!(zero, { spec: specOf("vp-epsilon"), student }).times, [1e8]);
});

for (const kind of ["dit", "unet"] as const) {
  test(`${kind}: one logit a row, pooled by attention from the innermost features, which every parameter reaches`, () => {
    const spec = { ...specOf("edm", kind), shape: [4, 4, 2] as [number, number, number] };
    spec.network.width = 16;
    const critic = createPooledCritic({ spec, depth: 3 });
    const start = critic.init(initDenoiser(spec, 1), 2);
    assert.not(
      Object.keys(start).some((name) => /^(decoder|final)\./.test(name)),
      "nothing of what comes after the middle",
    );
    const weights = toParameters(perturbed(start, 0.1));
    const [x, level] = [normal("x", [3, 4, 4, 2]), tf.tensor1d([-1, 0, 1])];
    const logits = (parameters: typeof weights, noiseLevel = level): Tensor => critic.logit(parameters, { x, noiseLevel, given: {} });
    assert.equal(logits(weights).shape, [3, 1]);
    assert.ok(
      logits(toParameters(start))
        .dataSync()
        .every((value) => Math.abs(value) < 0.5),
    );
    const changed = logits(weights, tf.tensor1d([0.5, 0, 1])).dataSync();
    const [first, ...rest] = logits(weights).dataSync();
    assert.ok(Math.abs(changed[0]! - first!) > 1e-5);
    assert.close([...changed.slice(1)], rest, 1e-6);

    // The pooling again, in float64, from the features.
    let features: Float32Array | undefined;
    const last = kind === "dit" ? "blocks.0" : "middle.1";
    const scale = 1 / Math.sqrt(0.05 ** 2 + 0.5 ** 2);
    const tap = (place: string, seen: Tensor): void => void (place === last && (features = seen.dataSync() as Float32Array));
    applyNetwork(spec, weights, { x: tf.mul(x, scale), noiseLevel: level, condition: embedConditions(spec, weights, {}) }, { tap, last });
    const of = (name: string) => ({
      kernel: weights[`pooled.${name}.kernel`]!.dataSync(),
      bias: weights[`pooled.${name}.bias`]!.dataSync(),
    });
    const linear = (name: string, vector: number[]): number[] => {
      const { kernel, bias } = of(name);
      return Array.from(bias, (b, o) => vector.reduce((sum, value, i) => sum + value * kernel[i * bias.length + o]!, b));
    };
    const silu = (u: number): number => u / (1 + Math.exp(-u));
    const positions = features!.length / 3 / 16;
    const expected = [0, 1, 2].map((row) => {
      const tokens = Array.from({ length: positions }, (_, p) => {
        const raw = [...features!.subarray((row * positions + p) * 16, (row * positions + p + 1) * 16)];
        const centre = mean(raw);
        const deviation = Math.sqrt(mean(raw.map((value) => (value - centre) ** 2)) + 1e-5);
        return raw.map((value) => silu((value - centre) / deviation));
      });
      const middle = tokens[0]!.map((_, c) => mean(tokens.map((token) => token[c]!)));
      const all = [middle, ...tokens];
      const [query, keys, values] = [linear("query", middle), all.map((t) => linear("key", t)), all.map((t) => linear("value", t))];
      const pooled = [0, 1].flatMap((head) => {
        const part = (vector: number[]): number[] => vector.slice(8 * head, 8 * head + 8);
        const scores = keys.map((key) => Math.exp(part(key).reduce((sum, value, i) => sum + value * part(query)[i]!, 0) / Math.sqrt(8)));
        const total = scores.reduce((a, b) => a + b);
        return part(query).map((_, i) => values.reduce((sum, value, k) => sum + (scores[k]! / total) * part(value)[i]!, 0));
      });
      const angles = Array.from({ length: 32 }, (_, i) => [-1, 0, 1][row]! * 100 * 1000 ** (-i / 32));
      const told = linear("modulation", linear("level", [...angles.map(Math.cos), ...angles.map(Math.sin)]).map(silu));
      return linear(
        "logit",
        linear("out", pooled).map((value, i) => silu(value * (1 + told[i]!) + told[16 + i]!)),
      )[0]!;
    });
    assert.close([first!, ...rest], expected, 1e-4);

    const names = Object.keys(weights);
    const gradients = tf.grads((...values: Tensor[]) => logits(Object.fromEntries(names.map((name, i) => [name, values[i]!]))).sum())(
      names.map((name) => weights[name]!),
    );
    gradients.forEach((gradient, i) => {
      const reached = gradient.abs().max().dataSync()[0]!;
      assert.ok(reached > 0 || /key\.bias$/.test(names[i]!), `${names[i]} has no part in the logit`); // a key's bias cancels in the softmax
    });
  });
}

test.run();
