/** Teacher steps inside a loss: against closed forms of Gaussian data, the published VP formulas, and fine simulations of the SDE. */
import "../../engine/gradients.ts";
import { tf } from "../../engine/tfjs.ts";
import { type DenoiserSpec, initDenoiser } from "../../models/denoiser.ts";
import { numbers } from "../../models/diffusion/arithmetic.ts";
import { denoiserOf } from "../../models/diffusion/levels.ts";
import { createParameterisation } from "../../models/diffusion/parameterisation.ts";
import { levelAt } from "../../models/diffusion/schedule.ts";
import { descend, splits, teacherSteps } from "../../models/diffusion/teacher-step.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { assert, suite } from "../harness.ts";
import { noise, perturbed, toParameters } from "./parameters.ts";

const test = suite("teacher steps");

const parameterisations = ["edm", "flow", "vp-epsilon", "vp-v"] as const;
function specOf(parameterisation: (typeof parameterisations)[number], condition: "none" | "class" = "none"): DenoiserSpec {
  const settings = settingsSchema.parse({
    network: { width: 8, depth: 1, heads: 1, patch: 2, condition },
    diffusion: { parameterisation },
  });
  const classes = condition === "class" ? ["a", "b", "c"] : [];
  return { network: settings.network, diffusion: settings.diffusion, shape: [4, 4, 1], classes, vocabulary: 0 };
}

const std = 0.7;
const denoise = (x: number, sigma: number): number => (std ** 2 * x) / (std ** 2 + sigma ** 2);
const exact = (x: number, from: number, to: number): number => x * Math.sqrt((std ** 2 + to ** 2) / (std ** 2 + from ** 2));
const grid = (from: number, to: number, steps: number): number[] =>
  Array.from({ length: steps + 1 }, (_, i) => from * (to / from) ** (i / steps));

for (const [solver, order] of [
  ["line", 1],
  ["dpm++2m", 2],
] as const) {
  test(`${solver} converges to the exact flow of Gaussian data with order ${order}`, () => {
    const errors = [40, 80, 160].map((steps) =>
      Math.abs(descend({ x: 3, levels: grid(20, 0.05, steps), denoise, solver }, numbers) - exact(3, 20, 0.05)),
    );
    for (let i = 0; i < 2; i++) assert.close(Math.log2(errors[i]! / errors[i + 1]!), order, 0.15);
  });
}

test("DPM-Solver++(2M) goes no further than once the last change, however large the step", () => {
  const levels = [1, 0.7, 1e-9]; // half a step's ratio of logarithms would be 28
  const clean = [1, 0.7].map((sigma, i) => denoise(i === 0 ? 3 : denoise(3, 1) + (3 - denoise(3, 1)) * 0.7, sigma)) as [number, number];
  assert.close(descend({ x: 3, levels, denoise, solver: "dpm++2m" }, numbers), 2 * clean[1] - clean[0], 1e-6);
});

test("DDIM with eta is Song et al.'s equation 12 and 16 in VP coordinates", () => {
  for (const eta of [0, 0.3, 1]) {
    for (const [from, to] of [
      [9, 4],
      [1.5, 0.4],
      [0.4, 0.399],
    ] as const) {
      const [a, next] = [1 / (1 + from ** 2), 1 / (1 + to ** 2)]; // alpha bar, as 2010.02502 calls alpha
      const [z, n] = [0.83, -1.7];
      const clean = denoise(z / Math.sqrt(a), from);
      const epsilon = (z - Math.sqrt(a) * clean) / Math.sqrt(1 - a);
      const sigma = eta * Math.sqrt((1 - next) / (1 - a)) * Math.sqrt(1 - a / next);
      const wanted = Math.sqrt(next) * clean + Math.sqrt(1 - next - sigma ** 2) * epsilon + sigma * n;
      const noises = { split: "ddim" as const, eta, draws: [n] };
      const got = descend({ x: z / Math.sqrt(a), levels: [from, to], denoise, noises }, numbers) * Math.sqrt(next);
      assert.close(got, wanted, 1e-12);
    }
  }
});

test("the SDE's split is its exact solution while the clean prediction stands", () => {
  const [from, to] = [2, 0.5];
  for (const eta of [0.3, 0.6, 1, 1.4]) {
    let [mean, variance] = [1, 0]; // of x - D given 1 at the start, by Euler-Maruyama in steps of h
    const steps = 200_000;
    const h = (from - to) / steps;
    for (let i = 0; i < steps; i++) {
      const sigma = from - i * h;
      const shrink = 1 - ((1 + eta ** 2) * h) / sigma;
      mean *= shrink;
      variance = variance * shrink ** 2 + eta ** 2 * 2 * sigma * h;
    }
    const { down, up } = splits.sde({ from, to, eta }, numbers);
    assert.close(down / from, mean, 1e-4);
    assert.close(up ** 2, variance, 1e-4);
  }
});

test("steps with noise keep the marginals' variance: exactly for a single point, in the limit for Gaussian data", () => {
  for (const split of ["ddim", "sde"] as const) {
    for (const eta of [0, 0.3, 1]) {
      const levels = grid(20, 0.1, 5);
      const point = variances({ split, eta, levels, start: 20 ** 2, pull: () => 0 });
      for (const [i, sigma] of levels.entries()) assert.close(point[i]!, sigma ** 2, 1e-12 * sigma ** 2);
      const errors = [100, 200].map((steps) => {
        const end = variances({ split, eta, levels: grid(20, 0.1, steps), start: 400 + std ** 2, pull: (s) => denoise(1, s) }).at(-1)!;
        return Math.abs(end - (std ** 2 + 0.01));
      });
      assert.close(errors[0]! / errors[1]!, 2, 0.2);
      assert.ok(errors[1]! < 0.03);
    }
  }
});

/** Variance at each level of a process whose clean prediction is `pull` times the state: of its linear and its noise part, apart. */
function variances(options: {
  split: "ddim" | "sde";
  eta: number;
  levels: number[];
  start: number;
  pull: (sigma: number) => number;
}): number[] {
  const { split, eta, levels, start, pull } = options;
  const one = (x: number, draw: number, at: number[]): number =>
    descend({ x, levels: at, denoise: (state, sigma) => pull(sigma) * state, noises: { split, eta, draws: [draw] } }, numbers);
  const found = [start];
  for (let i = 0; i + 1 < levels.length; i++) {
    const at = [levels[i]!, levels[i + 1]!];
    found.push(one(1, 0, at) ** 2 * found[i]! + one(0, 1, at) ** 2);
  }
  return found;
}

test("rows step between levels of their own: a fresh EDM network is the teacher of N(0, sigmaData^2)", async () => {
  await tf.setBackend("cpu");
  const spec = specOf("edm");
  const parameters = toParameters(initDenoiser(spec, 1)); // answers 0, so D = cSkip x (Karras et al. 2022, table 1)
  const x = noise("x", [3, 4, 4, 1]);
  const [froms, tos] = [
    [5, 1, 0.3],
    [4.9, 0.5, 0.1],
  ];
  const ladders = froms!.map((from, i) => grid(from, tos![i]!, 24));
  const levels = ladders[0]!.map((_, i) => tf.tensor(ladders.map((ladder) => ladder[i]!)));
  const end = teacherSteps({ spec, parameters, given: {}, x, levels, solver: "dpm++2m" }).dataSync();
  const start = x.dataSync();
  for (const [row, from] of froms!.entries()) {
    const factor = Math.sqrt((0.25 + tos![row]! ** 2) / (0.25 + from ** 2));
    for (let i = 0; i < 16; i++) assert.close(end[16 * row + i]!, start[16 * row + i]! * factor, 2e-3);
  }
});

test("guidance scales differ by row, conditions are doubled, and no gradient flows; every parameterisation", async () => {
  await tf.setBackend("cpu");
  for (const name of parameterisations) {
    const spec = specOf(name, "class");
    const parameters = toParameters(perturbed(initDenoiser(spec, 1)));
    const x = noise("x", [3, 4, 4, 1]);
    const [from, to] = [tf.tensor([2, 0.5, 7]), tf.tensor([1, 0.3, 2])];
    const label = tf.tensor([0, 2, 1], [3], "int32");
    const scales = [1, 0, 3.5];
    const at = (keep: number): Float32Array =>
      denoiserOf({ spec, parameters, given: { label, keep: tf.fill([3], keep) } })(x, from).dataSync() as Float32Array;
    const [held, dropped] = [at(1), at(0)];
    const given = { label, keep: tf.ones([3]) };
    const end = teacherSteps({ spec, parameters, given, scale: tf.tensor(scales), x, levels: [from, to] }).dataSync();
    const [start, froms, tos] = [x.dataSync(), from.dataSync(), to.dataSync()];
    for (let i = 0; i < 48; i++) {
      const row = Math.floor(i / 16);
      const clean = dropped[i]! + scales[row]! * (held[i]! - dropped[i]!);
      assert.close(end[i]!, clean + ((start[i]! - clean) * tos[row]!) / froms[row]!, 1e-5 * (1 + Math.abs(start[i]!)));
    }
    const slope = tf.grad((state) => tf.sum(teacherSteps({ spec, parameters, given, x: state, levels: [from, to] })))(x);
    assert.equal([...slope.dataSync()], new Array(48).fill(0));
  }
});

test("levels by share of a parameterisation's time run from sigmaMin to sigmaMax, and are its grid's in between", () => {
  for (const name of parameterisations) {
    const parameterisation = createParameterisation(specOf(name).diffusion);
    const at = levelAt(parameterisation);
    assert.equal([at(0), at(1)], [parameterisation.sigmaMin, parameterisation.sigmaMax]);
    for (const share of [0.1, 0.5, 0.9]) {
      const [low, high] = [at(0), at(1)].map(parameterisation.timeOf);
      assert.close(parameterisation.timeOf(at(share)), low! + share * (high! - low!), 1e-9);
    }
  }
  assert.close(levelAt(createParameterisation(specOf("edm").diffusion))(0.5), ((80 ** (1 / 7) + 0.002 ** (1 / 7)) / 2) ** 7, 1e-12);
});

test.run();
