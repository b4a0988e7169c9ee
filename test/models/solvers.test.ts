import { tf } from "../../engine/tfjs.ts";
import { type Linear, numbers, tensors } from "../../models/diffusion/arithmetic.ts";
import { denoise } from "../../models/diffusion/denoise.ts";
import { doubled, guide, guidedNetwork } from "../../models/diffusion/guidance.ts";
import { createParameterisation } from "../../models/diffusion/parameterisation.ts";
import { solverGrid, timeGrid } from "../../models/diffusion/schedule.ts";
import { readCoefficients, stepCoefficients } from "../../models/diffusion/coefficients.ts";
import { advance, integrate, memoriesOf, type Registers } from "../../models/diffusion/machine.ts";
import { solverPlan } from "../../models/diffusion/solvers.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { assert, suite } from "../harness.ts";

const test = suite("solvers");

const solvers = ["euler", "heun", "ddim", "dpm++2m"] as const;
const orders = { euler: 1, heun: 2, ddim: 1, "dpm++2m": 2 };
const create = (parameterisation: "edm" | "flow" | "vp-epsilon" | "vp-v") =>
  createParameterisation(settingsSchema.parse({ diffusion: { parameterisation } }).diffusion);

/** States are arrays of independent one-dimensional points. */
const arrays: Linear<Float64Array> = {
  add: (a, b) => a.map((value, i) => value + (typeof b === "number" ? b : b[i]!)),
  mul: (a, b) => a.map((value, i) => value * (typeof b === "number" ? b : b[i]!)),
};

const pointwise = (denoiser: (x: number, sigma: number) => number) => (x: Float64Array, sigma: number) =>
  x.map((value) => denoiser(value, sigma));

const gaussian = { mean: 0.4, std: 0.5 };
const gaussianDenoiser = (x: number, sigma: number) =>
  (gaussian.std ** 2 * x + sigma ** 2 * gaussian.mean) / (gaussian.std ** 2 + sigma ** 2);

/** The flow of a Gaussian keeps each point's standardised position. */
const gaussianFlow = (x: number, from: number, to: number) =>
  gaussian.mean + (x - gaussian.mean) * Math.sqrt((gaussian.std ** 2 + to ** 2) / (gaussian.std ** 2 + from ** 2));

const mixture = [
  { weight: 0.3, mean: -1, std: 0.3 },
  { weight: 0.5, mean: 0.6, std: 0.2 },
  { weight: 0.2, mean: 1.5, std: 0.4 },
];
function mixtureDenoiser(x: number, sigma: number): number {
  let [total, clean] = [0, 0];
  for (const { weight, mean, std } of mixture) {
    const variance = std ** 2 + sigma ** 2;
    const likelihood = (weight / Math.sqrt(variance)) * Math.exp(-((x - mean) ** 2) / (2 * variance));
    total += likelihood;
    clean += (likelihood * (std ** 2 * x + sigma ** 2 * mean)) / variance;
  }
  return clean / total;
}

/** Classical Runge-Kutta in ln sigma, where dx / d ln sigma = x - D(x; sigma). */
function rungeKutta(x: number, from: number, to: number, steps = 4000): number {
  const h = Math.log(to / from) / steps;
  const slope = (state: number, log: number) => state - mixtureDenoiser(state, Math.exp(log));
  for (let i = 0; i < steps; i++) {
    const log = Math.log(from) + i * h;
    const k1 = slope(x, log);
    const k2 = slope(x + (h / 2) * k1, log + h / 2);
    const k3 = slope(x + (h / 2) * k2, log + h / 2);
    const k4 = slope(x + h * k3, log + h);
    x += (h / 6) * (k1 + 2 * k2 + 2 * k3 + k4);
  }
  return x;
}

/** Least-squares slope of -ln error over ln steps. */
function observedOrder(errors: Map<number, number>): number {
  const points = [...errors].map(([steps, error]) => [Math.log(steps), -Math.log(error)] as const);
  const [x, y] = [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis]!, 0) / points.length);
  const covariance = points.reduce((sum, point) => sum + (point[0] - x!) * (point[1] - y!), 0);
  return covariance / points.reduce((sum, point) => sum + (point[0] - x!) ** 2, 0);
}

const [top, bottom] = [20, 0.05];
const starts = Float64Array.of(-31, -12, -3, 1, 6, 17, 40);
const teachers = {
  Gaussian: { denoiser: gaussianDenoiser, exact: starts.map((x) => gaussianFlow(x, top, bottom)) },
  mixture: { denoiser: mixtureDenoiser, exact: starts.map((x) => rungeKutta(x, top, bottom)) },
};
const grids = {
  Karras: { timeOf: (s: number) => s ** (1 / 7), sigmaAt: (t: number) => t ** 7 },
  flow: { timeOf: (s: number) => s / (1 + s), sigmaAt: (t: number) => t / (1 - t) },
};

for (const solver of solvers) {
  for (const [teacher, { denoiser, exact }] of Object.entries(teachers)) {
    for (const [grid, clock] of Object.entries(grids)) {
      test(`${solver} has order ${orders[solver]} on the ${teacher} teacher over the ${grid} grid`, () => {
        const errors = new Map<number, number>();
        for (const steps of [40, 80, 160, 320]) {
          const sigmas = timeGrid({ clock: { ...clock, sigmaMax: top, lastSigma: bottom }, steps: steps + 1 });
          const plan = solverPlan({ solver, sigmas: sigmas.subarray(0, -1) });
          const end = integrate({ plan, x: starts, denoise: pointwise(denoiser) }, arrays);
          errors.set(steps, Math.hypot(...end.map((x, i) => x - exact[i]!)));
        }
        assert.close(observedOrder(errors), orders[solver], 0.25);
      });
    }
  }
}

test("every solver carries noise to samples of the mixture", () => {
  const parameterisation = create("edm");
  const x = starts.map((start) => start * 2);
  for (const solver of solvers) {
    const sigmas = solverGrid({ solver, parameterisation, steps: 60 });
    const end = integrate({ plan: solverPlan({ solver, sigmas }), x, denoise: pointwise(mixtureDenoiser) }, arrays);
    const exact = x.map((start) => rungeKutta(start, 80, 1e-3));
    assert.close(end, exact, orders[solver] === 1 ? 0.1 : 0.01);
  }
});

test("evaluations are counted from the plan: Heun's 18 steps are 35", () => {
  const sigmas = solverGrid({ solver: "heun", parameterisation: create("edm"), steps: 18 });
  assert.is(solverPlan({ solver: "heun", sigmas }).length, 35);
  for (const solver of ["euler", "ddim", "dpm++2m"] as const) assert.is(solverPlan({ solver, sigmas }).length, 18);
});

test("the Karras grid is EDM's published one", () => {
  const sigmas = solverGrid({ solver: "heun", parameterisation: create("edm"), steps: 18 });
  const at = (i: number) => (80 ** (1 / 7) + (i / 17) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7;
  assert.close(sigmas, [...Array.from({ length: 18 }, (_, i) => at(i)), 0], 1e-12 * 80);
});

test("flow and VP grids are uniform in their own time and end at zero; one step is allowed", () => {
  for (const name of ["flow", "vp-epsilon", "vp-v"] as const) {
    const parameterisation = create(name);
    const sigmas = solverGrid({ solver: "euler", parameterisation, steps: 10 });
    const times = sigmas.map(parameterisation.timeOf);
    for (let i = 0; i < 10; i++) assert.close(times[i]! - times[i + 1]!, times[0]! / 10, 1e-12);
    assert.is(sigmas[10], 0);
    assert.equal([...solverGrid({ solver: "euler", parameterisation, steps: 1 })], [parameterisation.sigmaMax, 0]);
  }
});

test("DDIM is Song et al.'s update in VP coordinates", () => {
  const sigmas = Float64Array.of(9, 4, 1.5, 0.4, 0);
  let z = 2.3 * Math.cos(Math.atan(9));
  for (let i = 0; i < 4; i++) {
    const [alpha, s] = [Math.cos(Math.atan(sigmas[i]!)), Math.sin(Math.atan(sigmas[i]!))];
    const clean = mixtureDenoiser(z / alpha, s / alpha);
    const epsilon = (z - alpha * clean) / s;
    z = Math.cos(Math.atan(sigmas[i + 1]!)) * clean + Math.sin(Math.atan(sigmas[i + 1]!)) * epsilon;
  }
  const plan = solverPlan({ solver: "ddim", sigmas });
  assert.close(integrate({ plan, x: 2.3, denoise: mixtureDenoiser }, numbers), z, 1e-13);
});

test("Euler on a flow model is the velocity's own Euler step", () => {
  const times = [0.95, 0.7, 0.4, 0.1];
  let z = 0.8;
  for (let i = 0; i < 3; i++) {
    const t = times[i]!;
    const clean = mixtureDenoiser(z / (1 - t), t / (1 - t));
    z += (times[i + 1]! - t) * ((z - clean) / t);
  }
  const plan = solverPlan({ solver: "euler", sigmas: times.map((t) => t / (1 - t)) });
  assert.close(integrate({ plan, x: 0.8 / 0.05, denoise: mixtureDenoiser }, numbers) * 0.9, z, 1e-12);
});

test("DPM-Solver++(2M) is the published update in VP coordinates", () => {
  const sigmas = [9, 4, 1.5, 0.4];
  const alpha = (sigma: number) => 1 / Math.sqrt(1 + sigma ** 2);
  const lambda = (sigma: number) => -Math.log(sigma);
  let z = 2.3 * alpha(9);
  let previous = 0;
  for (let i = 0; i < 3; i++) {
    const [from, to] = [sigmas[i]!, sigmas[i + 1]!];
    const clean = mixtureDenoiser(z / alpha(from), from);
    const h = lambda(to) - lambda(from);
    const phi = Math.exp(-h) - 1;
    const ratio = i === 0 ? 1 : (lambda(from) - lambda(sigmas[i - 1]!)) / h;
    const slope = i === 0 ? 0 : (clean - previous) / ratio;
    z = ((to * alpha(to)) / (from * alpha(from))) * z - alpha(to) * phi * clean - 0.5 * alpha(to) * phi * slope;
    previous = clean;
  }
  const plan = solverPlan({ solver: "dpm++2m", sigmas });
  assert.close(integrate({ plan, x: 2.3, denoise: mixtureDenoiser }, numbers) * alpha(0.4), z, 1e-13);
});

test("noise levels that do not fall are refused", () => {
  assert.throws(() => solverPlan({ solver: "euler", sigmas: [1, 1, 0] }), /fall strictly/);
  assert.throws(() => solverPlan({ solver: "euler", sigmas: [1] }), /fall strictly/);
  assert.throws(() => timeGrid({ clock: create("edm"), steps: 0 }), /simulate.steps/);
});

/** The ideal EDM network of the Gaussian teacher as tensor operations, [b, 1, 1, 1]. */
function gaussianNetwork({ x, noiseLevel }: { x: ReturnType<typeof tf.tensor>; noiseLevel: ReturnType<typeof tf.tensor> }) {
  const sigma = tf.reshape(tf.exp(tf.mul(noiseLevel, 4)), [-1, 1, 1, 1]);
  const { cSkip, cOut, cIn } = create("edm").precondition(sigma, tensors);
  const state = tf.div(x, cIn);
  const spread = tf.add(tf.square(sigma), gaussian.std ** 2);
  const clean = tf.div(tf.add(tf.mul(state, gaussian.std ** 2), tf.mul(tf.square(sigma), gaussian.mean)), spread);
  return tf.div(tf.sub(clean, tf.mul(cSkip, state)), cOut);
}

test("the unrolled graph and one stage run again and again agree with float64", async () => {
  await tf.setBackend("cpu");
  const parameterisation = create("edm");
  for (const solver of solvers) {
    const plan = solverPlan({ solver, sigmas: solverGrid({ solver, parameterisation, steps: 8 }) });
    const expected = integrate({ plan, x: starts, denoise: pointwise(gaussianDenoiser) }, arrays);
    const x = tf.tensor(Float32Array.from(starts), [starts.length, 1, 1, 1]);

    const unrolled = integrate(
      {
        plan,
        x,
        denoise: (state, sigma) =>
          denoise({ x: state, coefficients: parameterisation.precondition(sigma, numbers), network: gaussianNetwork }),
      },
      tensors,
    );
    assert.close(unrolled.dataSync(), expected, 1e-4);

    let registers: Registers<typeof x> = { x, memories: new Array<typeof x>(memoriesOf(plan)).fill(x) };
    for (const row of stepCoefficients({ plan, parameterisation })) {
      const coefficients = readCoefficients(tf.tensor1d(row));
      const denoised = denoise({ x: registers.x, coefficients, network: gaussianNetwork });
      registers = advance({ stage: coefficients, ...registers, denoised }, tensors);
    }
    assert.close(registers.x.dataSync(), expected, 1e-4);
  }
});

test("guidance extrapolates from the unconditional prediction, in one doubled call", async () => {
  await tf.setBackend("cpu");
  assert.is(guide({ conditional: 3, unconditional: 1, scale: 1 }, numbers), 3);
  assert.is(guide({ conditional: 3, unconditional: 1, scale: 0 }, numbers), 1);
  assert.is(guide({ conditional: 3, unconditional: 1, scale: 4 }, numbers), 9);

  const condition = doubled(tf.tensor4d([5, 7], [2, 1, 1, 1]));
  const network = guidedNetwork({
    scale: 2,
    network: ({ x, noiseLevel, keep }) =>
      tf.add(tf.add(x, tf.reshape(noiseLevel, [-1, 1, 1, 1])), tf.mul(condition, tf.reshape(keep, [-1, 1, 1, 1]))),
  });
  const out = network({ x: tf.tensor4d([1, 2], [2, 1, 1, 1]), noiseLevel: tf.tensor1d([10, 20]) });
  assert.close(out.dataSync(), [1 + 10 + 2 * 5, 2 + 20 + 2 * 7], 1e-6);
});

test.run();
