/** Every method that makes students, against teachers of known answers: Gaussian data, whose map is affine, and a mixture on a line. */
import { methodNamed, methodNames } from "../../methods/registry.ts";
import { addFamily } from "../../models/families/registry.ts";
import type { DenoiserSpec } from "../../models/denoiser.ts";
import { presetNamed } from "../../recipes/recipe.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { affine } from "../fixtures/affine-family.ts";
import { table } from "../fixtures/table-family.ts";
import { optimiserSettings } from "../../schemas/settings.ts";
import { assert, suite } from "../harness.ts";
import { gaussianGround, type Ground, mixtureGround, moments } from "./ground.ts";
import { learn } from "./learn.ts";

const test = suite("methods against a known answer");

addFamily(affine);
addFamily(table);

interface Known {
  /** Of the method's own group. */
  own?: Record<string, unknown>;
  steps?: number;
  learningRate?: number;
  batch?: number;
  shape?: [number, number, number];
  /** Whether the student is to be the teacher's map, row by row; otherwise its samples are to be distributed as the data. */
  isMap?: boolean;
}

const adversarial: Known = { steps: 1500, learningRate: 3e-3 };

/** What differs from the smoke form. */
const known: Record<string, Known> = {
  diffusion2gan: {
    ...adversarial,
    own: { discriminator: "teacher", adversarialStart: 200, scales: [1], latentWeight: 10, latentLoss: "squared", perceptualWeight: 0 },
  },
  yoso: {
    steps: 2000,
    learningRate: 3e-3,
    own: {
      consistencyLoss: "squared",
      consistencyStep: 0.0175,
      anchorWeight: 0.01,
      adversarialWeight: 0.5,
      discriminatorRate: 1e-3,
      r1Weight: 0.3,
      r1Every: 8,
    },
  },
  d2o: { ...adversarial, own: { r1Weight: 0.3, r1Every: 8 } },
  // Its losses look at pictures; here at their pixels alone, with adaptors of as many ranks as the data has dimensions.
  hipa: {
    shape: [2, 2, 3],
    steps: 800,
    learningRate: 1e-2,
    isMap: true,
    own: { rank: 12, alpha: 12, targets: ["map", "norm"], spatialWeight: 0, highWeight: 0, latentWeight: 1 },
  },
  instaflow: { own: { reflowSteps: 600, reflowRate: 1e-2, pairSteps: 12, squaredPart: 1 }, steps: 600, learningRate: 1e-2, isMap: true },
  // Noise in the teacher's steps makes one call's samples narrower than the data, by (sigma / deviation)^(eta^2): little of it.
  scott: {
    steps: 1500,
    learningRate: 1e-2,
    own: { eta: 0.05, skip: 0.05, subSteps: 6, adversarialStart: 600, adversarialWeight: 0.1 },
  },
  tlcm: { own: { secondPart: 0.8, lastPart: 0 }, steps: 1500, learningRate: 3e-2, isMap: true },
};

const SAMPLES = 4096;

/** Trains a student in its smoke form, but for what the table says, and compares its samples with what is known. */
async function compare({
  method,
  family,
  ...options
}: {
  method: string;
  family: string;
  shape: Known["shape"];
  of: (spec: DenoiserSpec) => Ground;
}) {
  const { own = {}, steps = 800, learningRate = 1e-2, batch = 64, isMap } = known[method] ?? {};
  const smoke = presetNamed("smoke").settings as { train: Record<string, object> };
  const optimiser = { steps, learningRate, batch, warmup: 20, decay: 0.5, ema: 0.99, weightDecay: 0 };
  const train = { ...smoke.train, ...optimiser, method, [method]: { ...smoke.train[method], ...own } };
  const settings = settingsSchema.parse({ ...smoke, train });
  const network = { ...settings.network, kind: family as never, condition: "none" as const };
  const spec: DenoiserSpec = { shape: options.shape ?? [2, 2, 1], network, diffusion: settings.diffusion, classes: [], vocabulary: 0 };
  const ground = options.of(spec);
  const student = await learn({ settings, spec, ground });

  const noise = normals({ seed: 31, stream: "known/test", length: SAMPLES * ground.size });
  const made = await student.sample(noise);
  const { mean, covariance } = moments(made, ground.size);
  const off = Math.max(...mean.map((value, i) => Math.abs(value - ground.mean[i]!)));
  const error = Math.hypot(...covariance.map((value, i) => value - ground.covariance[i]!)) / Math.hypot(...ground.covariance);
  assert.ok(off < 0.05, `the mean is off by ${off.toFixed(3)}`);
  assert.ok(error < 0.08, `the covariance is off by ${(100 * error).toFixed(1)} %`);
  if (!isMap) return;
  const exact = ground.state(noise, 0);
  const apart = Math.sqrt(made.reduce((sum, value, i) => sum + (value - exact[i]!) ** 2, 0) / made.length);
  assert.ok(apart < 0.08, `rows are ${apart.toFixed(3)} off the teacher's map`);
}

/** A decoder of codes has no distribution of its own: test/methods/layton.test.ts asks what it draws of known ones. */
const hasOwn = (name: string): boolean => {
  const method = methodNamed(name);
  return !method.needs(method.settings.parse({}) as never, optimiserSettings.parse({})).frozen.includes("tokenizer");
};

for (const method of methodNames().filter(hasOwn)) {
  const { shape, isMap } = known[method] ?? {};
  test(
    `${method}: a student of Gaussian data has its mean and covariance`,
    () => compare({ method, family: affine.name, shape, of: gaussianGround }),
    { seconds: 120 },
  );
  if (isMap && !shape)
    test(
      `${method}: a student of a mixture on a line carries quantiles to quantiles`,
      () => compare({ method, family: table.name, shape: [1, 1, 1], of: mixtureGround }),
      { seconds: 120 },
    );
}

test.run();
