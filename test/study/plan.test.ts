import { badUsage } from "../../schemas/failure.ts";
import type { Settings } from "../../schemas/settings.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { planStudy, studyNamed } from "../../stages/study/plan.ts";
import { studies } from "../../stages/study/studies.ts";
import { secondsLeft } from "../../stages/study/times.ts";
import { assert, suite } from "../harness.ts";

/** The method's own settings. */
interface Own {
  adversarialWeight: number;
  noiseCondition: boolean;
  r1Weight: number;
  scales: number[];
  mismatch: number;
  discriminatorNoise: [number, number];
  imageShare: number;
  latentLoss: string;
}
const own = (settings: Settings): Own => settings.train.diffusion2gan as Own;

const test = suite("study plan");
const settings = settingsSchema.parse({ seed: 10 });
const runs = (jobs: ReturnType<typeof planStudy>) => jobs.map(({ variant, seed }) => `${variant.name}/${seed}`);

test("all variants of a seed come before the next seed, each with a seed of its own", () => {
  const jobs = planStudy({ study: studyNamed("regression"), settings, seeds: 2, only: ["ensemble", "squared"] });
  assert.equal(runs(jobs), ["squared/0", "ensemble/0", "squared/1", "ensemble/1"]);
  assert.equal(
    jobs.map((job) => job.settings.seed),
    [10, 10, 11, 11],
  );
  assert.equal(
    jobs.map((job) => own(job.settings).latentLoss),
    ["squared", "huber", "squared", "huber"],
  );
  assert.ok(jobs.every((job) => own(job.settings).adversarialWeight === 0));
});

test("the discriminator is built up one part a variant, as the settings have it", () => {
  const base = settingsSchema.parse({
    train: { diffusion2gan: { r1Weight: 0.5, scales: [1, 4], mismatch: 0.3, discriminatorNoise: [0.1, 2], imageShare: 0.6 } },
  });
  const jobs = planStudy({ study: studyNamed("discriminator"), settings: base, seeds: 1, images: "latents" });
  const parts = jobs.map((job) => {
    const { adversarialWeight, noiseCondition, r1Weight, scales, mismatch, discriminatorNoise, imageShare } = own(job.settings);
    return [adversarialWeight > 0, noiseCondition, r1Weight, scales.length, mismatch, discriminatorNoise[1], imageShare];
  });
  assert.equal(parts.slice(1), [
    [true, false, 0, 1, 0, 0, 0],
    [true, true, 0, 1, 0, 0, 0],
    [true, true, 0.5, 1, 0, 0, 0],
    [true, true, 0.5, 2, 0, 0, 0],
    [true, true, 0.5, 2, 0.3, 0, 0],
    [true, true, 0.5, 2, 0.3, 2, 0],
    [true, true, 0.5, 2, 0.3, 2, 0.6],
    [true, true, 0.5, 2, 0.3, 2, 1],
  ]);
  assert.is(parts[0]?.[0], false);
  assert.ok(jobs.every((job) => job.settings.train.images === "latents"));
  const without = planStudy({ study: studyNamed("discriminator"), settings: base, seeds: 1 });
  assert.is(without.length, 7); // no images, no variant that needs them
});

test("every study has distinct variants and settings that the schema takes", () => {
  for (const study of studies) {
    const jobs = planStudy({ study, settings, seeds: 1, images: "latents" });
    assert.is(new Set(jobs.map(({ variant }) => variant.name)).size, study.variants.length);
    assert.ok(study.variants.every(({ name }) => /^[a-z0-9-]+$/.test(name))); // they name folders
  }
});

const discriminator = (train: object) =>
  planStudy({ study: studyNamed("discriminator"), settings: settingsSchema.parse({ train }), seeds: 1 });
const wrong: [what: string, ask: () => unknown, message: RegExp][] = [
  ["an unknown study", () => studyNamed("regresion"), /Unknown study "regresion": did you mean "regression"\?/],
  [
    "an unknown variant",
    () => planStudy({ study: studyNamed("regression"), settings, seeds: 1, only: ["hubber"] }),
    /Cannot study "hubber" in regression: did you mean "huber"\?/,
  ],
  [
    "settings that make two variants one",
    () => discriminator({ diffusion2gan: { r1Weight: 0 } }),
    /Cannot compare "r1" with "noise": these settings make them the same; change train.diffusion2gan.r1Weight/,
  ],
  [
    "a discriminator that would never join",
    () => discriminator({ steps: 400, diffusion2gan: { adversarialStart: 500 } }),
    /Cannot study "diffusion" in 400 steps: its discriminator joins at step 500/,
  ],
];
for (const [what, ask, message] of wrong) {
  test(`${what} is refused as a wrong request`, () => {
    try {
      ask();
    } catch (error) {
      assert.match((error as Error).message, message);
      assert.is((error as { exitCode?: number }).exitCode, badUsage("").exitCode);
      return;
    }
    assert.unreachable("it was taken");
  });
}

test("the study of methods has a row for each method's recipe and for each of its published forms", () => {
  const jobs = planStudy({ study: studyNamed("methods"), settings, seeds: 1, only: ["d2o", "d2o-f"], images: "latents" });
  assert.equal(runs(jobs), ["d2o/0", "d2o-f/0"]);
  assert.equal(
    jobs.map(({ settings: { train } }) => [train.method, (train.d2o as { freeze: string }).freeze]),
    [
      ["d2o", "none"],
      ["d2o", "bulk"],
    ],
  );
});

test("the rest of a study is what its variants took, less what a stopped run has had", () => {
  const jobs = [0, 1].flatMap((seed) => ["a", "b"].map((variant) => ({ variant, seed })));
  const time = (variant: string, seed: number, seconds: number) => ({ variant, seed, part: "train" as const, seconds });
  assert.is(secondsLeft({ jobs, done: [], times: [] }), 0);
  const times = [time("a", 0, 60), time("a", 0, 40), time("b", 0, 30)];
  assert.is(secondsLeft({ jobs, done: [{ variant: "a", seed: 0 }], times }), 70 + 100 + 100);
  assert.is(secondsLeft({ jobs, done: jobs.slice(0, 2), times }), 100 + 30);
});

test.run();
