import { tf } from "../../engine/tfjs.ts";
import { numbers, tensors } from "../../models/diffusion/arithmetic.ts";
import { createParameterisation, trainingNoiseLevels } from "../../models/diffusion/parameterisation.ts";
import { vpSigma, vpTime } from "../../models/diffusion/vp-schedule.ts";
import { convert, type Prediction, predictions } from "../../models/diffusion/predictions.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { assert, suite } from "../harness.ts";

const test = suite("parameterisation");

const names = ["edm", "flow", "vp-epsilon", "vp-v"] as const;
const create = (parameterisation: (typeof names)[number], more = {}) =>
  createParameterisation(settingsSchema.parse({ diffusion: { parameterisation, ...more } }).diffusion);

/** Data N(mean, std^2): the exact denoiser, and by linear regression E[a eps + b clean | p clean + q eps = z]. */
const mean = 0.3;
const std = 0.7;
const exactDenoiser = (x: number, sigma: number) => (std ** 2 * x + sigma ** 2 * mean) / (std ** 2 + sigma ** 2);
const regress = (z: number, p: number, q: number, a: number, b: number) =>
  b * mean + ((a * q + b * p * std ** 2) / ((p * std) ** 2 + q ** 2)) * (z - p * mean);

const sigmas = [0.002, 0.03, 0.2, 1, 3.7, 12];
const states = [-5, -0.4, 0, 0.3, 1.1, 20];

/** The ideal network output in each parameterisation's own coordinates, from its definition alone. */
const ideal: Record<string, (x: number, sigma: number) => number> = {
  flow: (x, sigma) => {
    const t = sigma / (1 + sigma);
    return regress((1 - t) * x, 1 - t, t, 1, -1);
  },
  "vp-epsilon": (x, sigma) => {
    const alpha = Math.cos(Math.atan(sigma));
    const s = Math.sin(Math.atan(sigma));
    return regress(alpha * x, alpha, s, 1, 0);
  },
  "vp-v": (x, sigma) => {
    const alpha = Math.cos(Math.atan(sigma));
    const s = Math.sin(Math.atan(sigma));
    return regress(alpha * x, alpha, s, alpha, -s);
  },
};

for (const [name, network] of Object.entries(ideal)) {
  test(`${name}: the ideal network gives the exact denoiser of Gaussian data`, () => {
    const { precondition } = create(name as (typeof names)[number]);
    for (const sigma of sigmas) {
      const { cSkip, cOut } = precondition(sigma, numbers);
      for (const x of states) {
        assert.close(cSkip * x + cOut * network(x, sigma), exactDenoiser(x, sigma), 1e-12 * (1 + Math.abs(x)));
      }
    }
  });
}

test("edm: network input and training target have unit variance, and c_out is the least that allows it", () => {
  for (const sigmaData of [0.5, 1]) {
    const { precondition } = create("edm", { sigmaData });
    for (const sigma of sigmas) {
      const { cSkip, cOut, cIn, cNoise } = precondition(sigma, numbers);
      const target = (skip: number) => ((1 - skip) * sigmaData) ** 2 + (skip * sigma) ** 2;
      assert.close(cIn ** 2 * (sigmaData ** 2 + sigma ** 2), 1, 1e-12);
      assert.close(target(cSkip), cOut ** 2, 1e-12);
      assert.ok(target(cSkip + 1e-3) > cOut ** 2 && target(cSkip - 1e-3) > cOut ** 2);
      assert.close(Math.exp(4 * cNoise), sigma, 1e-12 * sigma);
    }
  }
});

test("published preconditioning: EDM table 1 at sigma = sigma_data, SD's epsilon at sigma = 1", () => {
  const edm = create("edm").precondition(0.5, numbers);
  assert.close([edm.cSkip, edm.cOut, edm.cIn], [0.5, 0.5 / Math.SQRT2, Math.SQRT2], 1e-15);
  const epsilon = create("vp-epsilon").precondition(1, numbers);
  assert.close([epsilon.cSkip, epsilon.cOut, epsilon.cIn], [1, -1, Math.SQRT1_2], 1e-15);
});

test("every quantity converts to every other as its definition says, and back", () => {
  for (const sigma of sigmas) {
    for (const [clean, epsilon] of [
      [0.4, -1.2],
      [-2, 0.3],
    ] as const) {
      const x = clean + sigma * epsilon;
      const norm = Math.sqrt(1 + sigma ** 2);
      const quantities: Record<Prediction, number> = {
        clean,
        epsilon,
        velocity: epsilon - clean,
        v: epsilon / norm - (sigma / norm) * clean,
        score: -epsilon / sigma,
      };
      for (const from of Object.keys(predictions) as Prediction[]) {
        for (const to of Object.keys(predictions) as Prediction[]) {
          const value = convert({ from, to, value: quantities[from], x, sigma }, numbers);
          assert.close(value, quantities[to], 1e-9 * (1 + Math.abs(quantities[to])), `${from} -> ${to} at ${sigma}`);
        }
      }
    }
  }
});

test("the score of Gaussian data", () => {
  for (const sigma of sigmas) {
    const x = 0.9;
    const score = convert({ from: "clean", to: "score", value: exactDenoiser(x, sigma), x, sigma }, numbers);
    assert.close(score, -(x - mean) / (std ** 2 + sigma ** 2), 1e-9);
  }
});

test("the loss weight turns the denoiser's error into the network's", () => {
  for (const name of names) {
    const { precondition, lossWeight } = create(name);
    for (const sigma of sigmas) {
      const { cSkip, cOut } = precondition(sigma, numbers);
      const [x, clean, output] = [1.3, 0.2, -0.8];
      const target = (clean - cSkip * x) / cOut;
      const error = (cSkip * x + cOut * output - clean) ** 2;
      assert.close(lossWeight(sigma, numbers) * error, (output - target) ** 2, 1e-9 * (output - target) ** 2);
    }
  }
});

test("tensors and numbers agree", async () => {
  await tf.setBackend("cpu");
  for (const name of names) {
    const { precondition } = create(name);
    const onTensors = precondition(tf.tensor1d(sigmas), tensors);
    const onNumbers = sigmas.map((sigma) => precondition(sigma, numbers));
    for (const key of ["cSkip", "cOut", "cIn", "cNoise"] as const) {
      assert.close(
        onTensors[key].dataSync(),
        onNumbers.map((row) => row[key]),
        2e-6,
      );
    }
  }
});

test("the VP schedule is Stable Diffusion's in continuous time", () => {
  let logAlphaSquared = 0;
  for (let i = 0; i < 1000; i++) {
    const beta = (Math.sqrt(0.00085) + (i / 999) * (Math.sqrt(0.012) - Math.sqrt(0.00085))) ** 2;
    logAlphaSquared += Math.log(1 - beta);
    const sigma = Math.sqrt(Math.expm1(-logAlphaSquared));
    if (i > 20) assert.close(vpSigma((i + 1) / 1000) / sigma, 1, 0.015);
  }
  for (const t of [1e-4, 0.1, 0.5, 0.99, 1]) assert.close(vpTime(vpSigma(t), numbers), t, 1e-12);
  assert.close(create("vp-v").sigmaMax, 14.46, 0.01);
});

test("times are inverted exactly and the range is respected", () => {
  for (const name of names) {
    const { timeOf, sigmaAt, sigmaMax } = create(name);
    for (const sigma of [...sigmas, sigmaMax]) assert.close(sigmaAt(timeOf(sigma)), sigma, 1e-10 * sigma);
  }
});

test("training noise levels have the declared distribution and do not depend on where a batch is cut", () => {
  const draw = { seed: 1, stream: "levels", length: 20_000 };
  for (const name of ["edm", "flow"] as const) {
    const logs = trainingNoiseLevels({ parameterisation: create(name), ...draw }).sigma.map(Math.log);
    const average = logs.reduce((sum, value) => sum + value, 0) / logs.length;
    assert.close(average, -1.2, 0.03);
    assert.close(Math.sqrt(logs.reduce((sum, value) => sum + (value - average) ** 2, 0) / logs.length), 1.2, 0.03);
  }
  const vp = trainingNoiseLevels({ parameterisation: create("vp-v"), ...draw });
  assert.close(vp.cNoise.reduce((sum, t) => sum + t, 0) / vp.cNoise.length, 0.5, 0.01);
  assert.close(
    vp.weight,
    vp.cOut.map((c) => 1 / (c * c)),
    1,
  );
  const slice = trainingNoiseLevels({ parameterisation: create("vp-v"), ...draw, offset: 7, length: 5 });
  assert.equal(slice.sigma, vp.sigma.slice(7, 12));
});

test.run();
