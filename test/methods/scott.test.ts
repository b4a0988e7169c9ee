/** SCott's loss on Gaussian data, where every prediction and every step is a factor; its discriminator, and its guidance as an input. */
import "../../engine/gradients.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Kit, Update } from "../../methods/method.ts";
import { optimiserOf, ownSettings } from "../../methods/registry.ts";
import { method, type ScottSettings } from "../../methods/scott.ts";
import { type DenoiserSpec, initDenoiser } from "../../models/denoiser.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import type { Settings } from "../../schemas/settings.ts";
import { assert, suite } from "../harness.ts";
import { noise, perturbed, toParameters } from "../models/parameters.ts";

const test = suite("scott");

function kitOf(own: Record<string, unknown>, condition: "none" | "class" = "none") {
  const settings = settingsSchema.parse({
    network: { width: 8, depth: 1, heads: 1, patch: 2, condition },
    train: { method: "scott", batch: 4, steps: 8, scott: own },
  }) as Settings;
  const classes = condition === "class" ? ["a", "b"] : [];
  const spec = { network: settings.network, diffusion: settings.diffusion, shape: [4, 4, 1], classes, vocabulary: 0 } as DenoiserSpec;
  const weights = initDenoiser(spec, 1);
  const job = { settings: ownSettings(method as never, settings.train) as ScottSettings, optimiser: optimiserOf(settings.train), seed: 5 };
  const student = method.student!(job.settings, spec, {});
  const subject = { spec, ...(student !== spec && { student }) };
  const kit: Kit<ScottSettings> = { ...job, subject, weights: { teacher: weights } };
  return { kit, parameters: toParameters(weights), weights };
}

const levels = [
  [5, 4, 3],
  [0.8, 0.6, 0.5],
  [80, 70, 60],
  [0.01, 0.005, 0.002],
];

test("the prediction is compared with the target's after SDE steps of the teacher, in the weight of its level", async () => {
  await tf.setBackend("cpu");
  const eta = 0.4;
  const { kit, parameters } = kitOf({ eta, subSteps: 2, distance: "squared", adversarialWeight: 0 });
  const { loss } = method.programs(kit).consistency as Update;
  const [image, draw, ...draws] = ["image", "draw", "draw0", "draw1"].map((name) => noise(name, [4, 4, 4, 1])) as Tensor[];
  const weight = [1, 2, 0.5, 3];
  const given = { clean: image!, noise: draw!, levels: tf.tensor2d(levels), weight: tf.tensor(weight), draw0: draws[0]!, draw1: draws[1]! };
  const { metrics } = loss(parameters, given, { teacher: parameters, "student.target": parameters });

  // A fresh network answers 0: D = .25 / (.25 + s^2) x, and with EDM's scalings f = .25 / ((s - e)^2 + .25) x.
  const clean = (s: number): number => 0.25 / (0.25 + s ** 2);
  const f = (s: number): number => 0.25 / ((s - 0.002) ** 2 + 0.25);
  const [x, n, d0, d1] = [image!, draw!, draws[0]!, draws[1]!].map((t) => t.dataSync()) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  let sum = 0;
  for (let i = 0; i < 64; i++) {
    const [a, b, c] = levels[Math.floor(i / 16)] as [number, number, number];
    const step = (state: number, from: number, to: number, fresh: number): number =>
      clean(from) * state +
      (1 - clean(from)) * state * (to / from) ** (1 + eta ** 2) +
      to * Math.sqrt(1 - (to / from) ** (2 * eta ** 2)) * fresh;
    const above = x[i]! + a * n[i]!;
    const below = step(step(above, a, b, d0[i]!), b, c, d1[i]!);
    sum += (weight[Math.floor(i / 16)]! * (f(a) * above - f(c) * below) ** 2) / 64;
  }
  assert.close(metrics.consistency!.dataSync()[0]!, sum, 1e-4 * sum);
});

test("the discriminator trains its heads and a LoRA: at first it judges as the frozen teacher does, and that is not its own", async () => {
  await tf.setBackend("cpu");
  const { kit, weights } = kitOf({ adversarialStart: 0, discriminatorDepth: 1, discriminatorRank: 2 });
  const { from, train } = method.parts(kit).discriminator!;
  const own = (from as () => typeof weights)();
  assert.is(train, "all");
  assert.ok(Object.keys(own).every((name) => name.startsWith("discriminator.") || /\.lora\.(down|up)$/.test(name)));
  assert.ok(Object.keys(own).some((name) => name.endsWith(".lora.up")) && Object.keys(own).some((name) => name.includes(".heads.")));

  const update = method.programs(kit).discriminator as Update;
  const inputs = Object.fromEntries(
    Object.entries({ ...update.inputs, fake: { shape: [4, 4, 4, 1] } }).map(([name, { shape }]) => [
      name,
      /sigma|cIn|cNoise/.test(name) ? tf.fill([...shape], 0.3) : noise(name, [...shape]),
    ]),
  );
  const lossOf = (parameters: typeof own, teacher: typeof own): number =>
    update.loss(toParameters(parameters), inputs, { teacher: toParameters(teacher) }).loss.dataSync()[0]!;
  const start = lossOf(own, weights);
  assert.close(start, 2, 0.3, "a hinge game starts at 2");
  assert.is.not(lossOf(own, perturbed(weights)), start, "it looks through the teacher's weights");
  const moved = Object.fromEntries(
    Object.entries(own).map(([name, { shape, data }]) => [name, { shape, data: name.endsWith(".lora.up") ? data.map(() => 0.5) : data }]),
  );
  assert.is.not(lossOf(moved, weights), start, "its LoRA counts");
});

test("with the guidance scale as an input the student is its teacher at first, and is sampled with the scale asked for", async () => {
  await tf.setBackend("cpu");
  const { kit, weights } = kitOf({ guidanceInput: true, guidance: [1, 4], sampleGuidance: 3, adversarialWeight: 0 }, "class");
  assert.is(kit.subject.student!.network.guidance, true);
  const start = (method.parts(kit).student!.from as () => typeof weights)();
  for (const [name, { data }] of Object.entries(weights)) assert.equal(start[name]!.data, data);
  assert.ok(Object.keys(start).length > Object.keys(weights).length);
  const sampler = method.sampler!(kit.settings, kit.subject);
  assert.equal([sampler.guidance, sampler.times.length, Object.keys(sampler.choices!)], [3, 2, ["1", "2", "4", "8"]]);
  let seen: Record<string, Float32Array> = {};
  const conditions = { label: Int32Array.of(0, 1, 0, 1) };
  await method.step({ step: 2, latent: new Float32Array(64), conditions }, kit, async (program, inputs) => {
    assert.is(program, "consistency");
    seen = inputs as typeof seen;
    return {};
  });
  const declared = (method.programs(kit).consistency as Update).inputs;
  assert.equal(Object.keys(seen).sort(), Object.keys(declared).sort());
  assert.ok(seen.guidance!.every((value) => value >= 1 && value < 4) && new Set(seen.guidance).size === 4);
  const plain = kitOf({ guidance: [2, 2] }, "class").kit;
  assert.equal([plain.subject.student, method.sampler!(plain.settings, plain.subject).guidance], [undefined, 1]);
});

test("a published network takes no guidance scale as an input, and the sentence says so", () => {
  const { settings, subject } = kitOf({ guidanceInput: true }).kit;
  const spec = subject.spec as DenoiserSpec;
  const published = { ...spec, network: { ...spec.network, kind: "published" as const } };
  assert.throws(() => method.student!(settings, published, {}), /Cannot give a published network the guidance scale: .* Set train\.scott/);
});

test("levels of a batch cover the time, fall, and end at the target's; weights by signal-to-noise ratio are capped", async () => {
  const { kit } = kitOf({ weighting: "snr", skip: 0.1, adversarialWeight: 0 });
  await method.step({ step: 3, latent: new Float32Array(64), conditions: {} }, kit, async (_, inputs) => {
    const { levels: ladders, weight } = inputs as Record<string, Float32Array>;
    const time = (sigma: number): number => (sigma ** (1 / 7) - 0.002 ** (1 / 7)) / (80 ** (1 / 7) - 0.002 ** (1 / 7));
    for (let row = 0; row < 4; row++) {
      const own = Array.from(ladders!.subarray(4 * row, 4 * row + 4), time);
      assert.ok(own[0]! >= row / 4 - 1e-6 && own[0]! < (row + 1) / 4);
      assert.close(own[3]!, Math.max(0, own[0]! - 0.1), 1e-6);
      assert.close(own[0]! - own[1]!, own[1]! - own[2]!, 1e-6);
      assert.close(weight![row]!, Math.min(5, (0.5 / ladders![4 * row]!) ** 2), 1e-6);
    }
    return {};
  });
});

test.run();
