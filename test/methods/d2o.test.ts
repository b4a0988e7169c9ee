/** D2O: what D2O-F leaves as it is, every kind of network and condition, and that all of its state is in a checkpoint. */
import { join } from "node:path";
import { createEngine } from "../../engine/engine.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import type { Job } from "../../methods/method.ts";
import { methodNamed, optimiserOf, ownSettings } from "../../methods/registry.ts";
import type { DenoiserSpec } from "../../models/denoiser.ts";
import { conditionInputs, denoiserLayout, initDenoiser } from "../../models/denoiser.ts";
import { generate } from "../../models/diffusion/one-step.ts";
import { ONE_STEP, planOf } from "../../models/diffusion/sampler-plan.ts";
import { createSampling } from "../../models/diffusion/sampling.ts";
import { loadTracedFeatures } from "../../models/features/load.ts";
import { initPerceptual, perceptualConfig } from "../../models/losses/perceptual.ts";
import { ingest } from "../../pipelines/ingest.ts";
import { pretrain } from "../../pipelines/pretrain.ts";
import { train } from "../../pipelines/train.ts";
import { presetNamed } from "../../recipes/recipe.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { readDenoiser } from "../../stages/runs/model.ts";
import { create } from "../../stages/workers/trainer.ts";
import { assert, suite } from "../harness.ts";
import { perturbed } from "../models/parameters.ts";
import { inFolder, recordingContext, tinySettings, writeSquares } from "../train/fixture.ts";

const test = suite("D2O");

const engine = { device: "cpu", precision: "single", threads: 1 } as const;
const BATCH = 4;
const SHAPE = [4, 4, 3] as const;

interface Case {
  kind?: "dit" | "unet";
  condition?: "none" | "class" | "caption";
  own?: object;
  accumulate?: number;
}

/** A trainer of a small network in this thread, and the batches of its steps. */
async function training({ kind = "dit", condition = "class", own = {}, accumulate = 1 }: Case) {
  const smoke = presetNamed("smoke").settings as { train: Record<string, object>; network: object };
  const network = {
    ...smoke.network,
    kind,
    condition,
    width: 8,
    depth: kind === "dit" ? 2 : 1,
    multipliers: [1, 2],
    patch: 2,
    captionTokens: 6,
  };
  const d2o = { ...smoke.train.d2o, ...own };
  const settings = settingsSchema.parse({ ...smoke, network, train: { ...smoke.train, method: "d2o", batch: BATCH, accumulate, d2o } });
  const classes = condition === "class" ? ["a", "b"] : [];
  const spec: DenoiserSpec = { ...settings, shape: [...SHAPE], classes, vocabulary: condition === "caption" ? 20 : 0 };
  const perceptual = perceptualConfig({ shape: SHAPE, width: 4, sigmaData: 0.5, classes: 2, words: [] });
  const isOfImages = ((d2o as { networks?: string[] }).networks ?? []).includes("images");
  const images = isOfImages ? await loadTracedFeatures({ paths: ["builtin"], imageSize: 64, setting: "train.features" }) : undefined;
  const statistics = { mean: [0.1, 0, 0], std: [0.5, 0.4, 0.6] };
  const job: Job<never> = {
    settings: ownSettings(methodNamed("d2o"), settings.train),
    optimiser: optimiserOf(settings.train),
    seed: 1,
    subject: {
      spec,
      plan: settings.simulate,
      perceptual,
      ...(images && { features: images.networks, codec: { kind: "pixel" } as never, statistics: statistics as never }),
    },
  };
  const teacher = perturbed(initDenoiser(spec, 1), 0.05);
  const weights = { teacher, perceptual: initPerceptual(perceptual, 2), ...(images && { features: images.weights, codec: {} }) };
  const size = SHAPE[0] * SHAPE[1] * SHAPE[2];
  const batch = (step: number) => ({
    step,
    latent: normals({ seed: 3, stream: "latents", offset: step * BATCH * size, length: BATCH * size }).map((value) => 0.5 * value),
    conditions: {
      ...(condition === "class" && { label: Int32Array.from({ length: BATCH }, (_, row) => (step + row) % 2) }),
      ...(condition === "caption" && { tokens: Int32Array.from({ length: BATCH * 6 }, (_, i) => (i * 7 + step) % 20) }),
    },
  });
  return { trainer: await create({ method: "d2o", job, weights, engine }), batch, teacher, job, weights };
}

for (const kind of ["dit", "unet"] as const) {
  for (const condition of kind === "dit" ? (["none", "class", "caption"] as const) : (["class"] as const)) {
    test(
      `${kind}, ${condition}: every step has finite figures, R1 in some of them`,
      async () => {
        // R1 through a U-Net takes long to compile, and test/models/discriminator.test.ts has it.
        const { trainer, batch } = await training({ kind, condition, ...(kind === "unet" && { own: { r1On: "features" } }) });
        for (let step = 0; step < 2; step++) {
          const figures = await trainer.step(batch(step));
          for (const [name, value] of Object.entries(figures)) assert.ok(Number.isFinite(value), `${name} is ${value}`);
          assert.is("r1" in figures, step % 2 === 0);
        }
      },
      { seconds: 60 },
    );
  }
}

test("a student is drawn at the level it is trained at, and a level that its teacher never saw is refused", async () => {
  const { job, weights } = await training({ own: { sigma: 8 } });
  const spec = job.subject.spec as DenoiserSpec;
  const sampler = methodNamed("d2o").sampler!;
  const made = sampler(job.settings, job.subject);
  assert.equal(made.times, [4], "8 times EDM's sigmaData");

  const own = await createEngine(engine);
  const network = own.constants("network", weights.teacher);
  const noise = normals({ seed: 5, stream: "noise", length: 2 * SHAPE[0] * SHAPE[1] * SHAPE[2] });
  const label = Int32Array.of(0, 1);
  const program = await own.compile({
    name: "generator",
    sets: { network },
    inputs: { noise: { shape: [2, ...SHAPE] }, ...conditionInputs(spec, 2) },
    run: (sets, { noise: z, ...given }) => ({ outputs: { x: generate(spec, sets.network, z as Tensor, given, made.times![0] as number) } }),
  });
  const { x } = await program.run({ noise, label, keep: Float32Array.of(1, 1) });
  const plan = planOf({ role: "student", spec, sampler: made }, ONE_STEP);
  const sampling = await createSampling({ engine: own, spec, network, plan, batch: 2 });
  assert.close(await sampling.sample({ noise, rows: 2, conditions: { label } }), x!, 1e-6);
  await own.dispose();

  for (const sigma of [1e-4, 161]) {
    assert.throws(() => sampler({ ...(job.settings as object), sigma } as never, job.subject), /noise level .* \(train\.d2o\.sigma\)/);
  }
});

const everything: Case[] = [
  { own: { augment: "ada", adaImages: 20, adaTarget: 0, freeze: "bulk", game: "hinge", teacherNoise: { mean: 0.5, std: 1 } } },
  { own: { augment: "diffaugment", r1On: "features", mixing: "channels", networks: ["images", "perceptual"] } },
  { own: { augment: "ada", adaImages: 20, teacherNoise: [0.1, 1], networks: ["teacher"], mixing: "none" }, accumulate: 2 },
];
for (const at of everything) {
  test(
    `${JSON.stringify(at)}: what is saved goes on to the same bits`,
    async () => {
      const { trainer, batch, teacher } = await training(at);
      let figures: Record<string, number> = {};
      const take = async (from: number, to: number): Promise<void> => {
        for (let step = from; step < to; step++) figures = await trainer.step(batch(step));
      };
      await take(0, 2);
      const saved = structuredClone(await trainer.save());
      await take(2, 4);
      const expected = structuredClone(await trainer.save());
      await trainer.load(saved);
      await take(2, 4);
      const found = await trainer.save();
      assert.equal(Object.keys(found), Object.keys(expected));
      for (const [set, weights] of Object.entries(expected))
        for (const [name, { data }] of Object.entries(weights)) assert.equal(found[set]![name]!.data, data, `${set}/${name}`);
      const moved = expected["student.network"]!;
      assert.ok(Object.entries(moved).some(([name, { data }]) => data.some((value, i) => value !== teacher[name]!.data[i])));
      if ((at.own as { augment?: string }).augment === "ada") {
        assert.ok("augmentation.network" in expected, "ADA's probability is in the checkpoint");
        assert.ok(figures.p! >= 0 && figures.p! <= 1 && Math.abs(figures.sure!) <= 1);
      }
    },
    { seconds: 60 },
  );
}

test("ADA's probability moves by batch / adaImages a step, and the transforms read it", async () => {
  const own = { augment: "ada", adaImages: 40, adaTarget: 0, discriminatorRate: 1e-6 };
  const { trainer, batch } = await training({ own });
  let p = 0;
  for (let step = 0; step < 4; step++) {
    const { p: before, sure } = await trainer.step(batch(step));
    assert.close(before!, p, 1e-6); // what the step's transforms fired with
    p = sure! > 0 ? Math.min(1, p + BATCH / 40) : sure! < 0 ? Math.max(0, p - BATCH / 40) : p;
  }
});

test("freezing leaves what its family calls bulk: about five sixths of a DiT", async () => {
  const { trainer } = await training({ own: { freeze: "bulk" } });
  const names = Object.keys(await trainer.read({ role: "student", set: "network" }));
  assert.ok(names.every((name) => !/attention\.out|\.(up|down)\.|modulation\.kernel/.test(name)));
  for (const name of ["blocks.0.attention.qkv.kernel", "blocks.1.modulation.bias", "final.out.kernel", "patch.kernel", "classes"])
    assert.ok(names.includes(name), name);
  const wide = settingsSchema.parse({ network: { kind: "dit", width: 128, depth: 6, patch: 4 } });
  const spec: DenoiserSpec = { ...wide, shape: [28, 28, 3], classes: ["a"], vocabulary: 0 };
  const count = (keep: (name: string) => boolean) =>
    Object.entries(denoiserLayout(spec)!).reduce((sum, [name, { shape }]) => sum + (keep(name) ? shape.reduce((a, b) => a * b, 1) : 0), 0);
  const kernels = /attention\.out\.|\.(up|down)\.|modulation\.kernel/;
  assert.close(count((name) => kernels.test(name)) / count(() => true), 0.81, 0.02);

  const unet = await training({ kind: "unet", own: { freeze: "bulk" } });
  const trained = Object.keys(await unet.trainer.read({ role: "student", set: "network" }));
  assert.ok(trained.every((name) => !/conv[01]|attention\.out/.test(name)));
  for (const part of [/norm0\.scale/, /modulation\.kernel/, /shortcut\.kernel/, /attention\.qkv\.kernel/])
    assert.ok(
      trained.some((name) => part.test(name)),
      `${part}`,
    );
});

test(
  "D2O-F says how much it trains, and what it leaves is the teacher's to the bit",
  () =>
    inFolder(async (folder) => {
      const images = await writeSquares(folder);
      const at = (name: string): string => join(folder, name);
      const { context, events } = recordingContext();
      const settings = tinySettings({
        train: { method: "d2o", images: at("latents"), distanceEvery: 0, d2o: { teacherDepth: 1, freeze: "bulk" } } as never,
      });
      await ingest({ images: [images], out: at("latents"), settings, context });
      await pretrain({ what: "teacher", data: at("latents"), out: at("teacher"), settings, context });
      await train({ teacher: at("teacher"), out: at("student"), settings, context });
      const notes = events.flatMap((event) => (event.type === "note" ? [event.message] : []));
      assert.ok(
        notes.some((note) => /^trains [\d,]+ numbers of the student; [\d,]+ \([\d.]+ %\) stay as they are$/.test(note)),
        notes.join("\n"),
      );
      const [teacher, student] = [await readDenoiser(at("teacher")), await readDenoiser(at("student"))];
      for (const [name, { data }] of Object.entries(teacher.weights)) {
        const isSame = data.every((value, i) => value === student.weights[name]!.data[i]);
        const isBulk = /attention\.out|\.(up|down)\.|modulation\.kernel/.test(name);
        if (isBulk) assert.ok(isSame, name);
        else if (/qkv\.kernel|patch\.kernel/.test(name)) assert.not(isSame, name);
      }
      await train({
        teacher: at("teacher"),
        out: at("none"),
        settings: { ...settings, train: { ...settings.train, images: undefined } },
        context,
      }).then(
        () => assert.unreachable("it has no images"),
        (error: Error) => assert.match(error.message, /Cannot train by d2o without images/),
      );
    }),
  { seconds: 120 },
);

test.run();
