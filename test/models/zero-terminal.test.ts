/** The schedule whose last signal-to-noise ratio is zero, and the way a teacher's predictions are carried onto it. */
import { numbers } from "../../models/diffusion/arithmetic.ts";
import { adaptationLevel, adaptedDiffusion, velocityOf } from "../../models/diffusion/adaptation.ts";
import { createParameterisation, trainingNoiseLevels } from "../../models/diffusion/parameterisation.ts";
import { zeroTerminalSigma } from "../../models/diffusion/vp-schedule.ts";
import { SIGNAL_FREE } from "../../models/diffusion/signal-free.ts";
import { levelAt } from "../../models/diffusion/schedule.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { assert, suite } from "../harness.ts";

const test = suite("zero terminal SNR");

const teachers = ["edm", "flow", "vp-epsilon", "vp-v"] as const;
const diffusionOf = (parameterisation: (typeof teachers)[number] | "vp-v-zero", more = {}) =>
  settingsSchema.parse({ diffusion: { parameterisation, ...more } }).diffusion;

/** sqrt(abar_t) of Stable Diffusion's 1000 betas, and the same rescaled as Lin et al. 2024 do: r <- (r - r_T) r_0 / (r_0 - r_T). */
function discrete(): { alpha: number[]; rescaled: number[] } {
  const alpha: number[] = [];
  let product = 1;
  for (let i = 0; i < 1000; i++) {
    product *= 1 - (Math.sqrt(0.00085) + (i / 999) * (Math.sqrt(0.012) - Math.sqrt(0.00085))) ** 2;
    alpha.push(Math.sqrt(product));
  }
  const [first, last] = [alpha[0]!, alpha[999]!];
  return { alpha, rescaled: alpha.map((r) => ((r - last) * first) / (first - last)) };
}

test("the schedule is the rescaled betas of Stable Diffusion in continuous time", () => {
  const { rescaled } = discrete();
  for (let i = 20; i < 999; i += 7) {
    const alpha = 1 / Math.sqrt(1 + zeroTerminalSigma((i + 1) / 1000) ** 2);
    assert.close(alpha, rescaled[i]!, 2e-3, `step ${i}`);
  }
  const betas = rescaled.map((r, i) => 1 - (r / (rescaled[i - 1] ?? 1)) ** 2);
  assert.is(betas[999], 1); // no signal is left at the last step
  assert.is(zeroTerminalSigma(1), Infinity);
  assert.is(zeroTerminalSigma(0), 0);
});

test("its times and levels invert each other up to the level that stands for an infinite one, and its grid ends there", () => {
  const parameterisation = createParameterisation(diffusionOf("vp-v-zero", { sigmaMax: SIGNAL_FREE }));
  const { timeOf, sigmaAt, sigmaMax } = parameterisation;
  for (const sigma of [0.002, 0.03, 1, 14.46, 80, 1e4]) assert.close(sigmaAt(timeOf(sigma)), sigma, 1e-9 * sigma);
  assert.close(sigmaAt(timeOf(SIGNAL_FREE)), SIGNAL_FREE, 1e-6 * SIGNAL_FREE);
  assert.is(sigmaMax, SIGNAL_FREE);
  assert.is(levelAt(parameterisation)(1), SIGNAL_FREE);
  const drawn = trainingNoiseLevels({ parameterisation, seed: 1, stream: "levels", length: 4000 });
  assert.ok(Object.values(drawn).every((column) => column.every(Number.isFinite)));
  assert.close(drawn.cNoise.reduce((sum, time) => sum + time, 0) / 4000, 0.5, 0.02);
});

test("a state without signal is pure noise to float32's precision, and the denoiser's coefficients there are exact", () => {
  const { precondition } = createParameterisation(adaptedDiffusion(diffusionOf("edm"), "v-zero"));
  const { cIn, cSkip, cOut, cNoise } = precondition(SIGNAL_FREE, numbers);
  const noise = normals({ seed: 2, stream: "noise", length: 1000 });
  const clean = normals({ seed: 2, stream: "clean", length: 1000 });
  const state = Float32Array.from(noise, (n, i) => clean[i]! + SIGNAL_FREE * n); // as programs have it, rounded
  for (let i = 0; i < 1000; i++) {
    const seen = Math.fround(Math.fround(cIn) * state[i]!);
    assert.close(seen, noise[i]!, 2 ** -22 * Math.max(1, Math.abs(noise[i]!)));
    assert.close(cSkip * state[i]!, 0, 1e-7); // all of D comes from the network: D = -v
  }
  assert.close([cOut, cNoise], [-1, 1], 1e-7);
});

test("v of a teacher that knows the answer is alpha epsilon - s clean on either schedule, whatever it predicts", () => {
  const { alpha, rescaled } = discrete();
  for (const name of teachers) {
    const teacher = diffusionOf(name);
    for (const [schedule, alphas] of [
      ["v", alpha],
      ["v-zero", rescaled],
    ] as const) {
      for (const i of [50, 250, 500, 750, 900, 990]) {
        const time = (i + 1) / 1000;
        const level = adaptationLevel(teacher, schedule, time);
        const [clean, epsilon] = [0.4, -1.3];
        const x = clean + level.sigma * epsilon;
        const v = velocityOf({ x, clean, perSigma: 1 / level.sigma, alpha: level.alpha, s: level.s }, numbers);
        const a = alphas[i]!;
        assert.close(v, a * epsilon - Math.sqrt(1 - a * a) * clean, 5e-3, `${name} ${schedule} ${i}`);
        assert.close(level.alpha ** 2 + level.s ** 2, 1, 1e-12);
        assert.close(1 / Math.sqrt(1 + level.sigma ** 2), alpha[i]!, 2e-3); // the teacher stays on its own schedule
        assert.close(level.time, time, 1e-9);
      }
      const end = adaptationLevel(teacher, schedule, 1);
      assert.close(end.alpha, schedule === "v" ? alpha[999]! : 0, 1e-3);
      const start = adaptationLevel(teacher, schedule, 0);
      assert.ok(Object.values(start).every(Number.isFinite), `${name} ${schedule}: every number is finite at time 0`);
      assert.ok(Object.values(end).every(Number.isFinite));
    }
  }
});

test("an adapted student has v-prediction and everything else of its teacher", () => {
  for (const name of teachers) {
    const teacher = diffusionOf(name, { sigmaData: 0.8 });
    assert.equal(adaptedDiffusion(teacher, "v"), { ...teacher, parameterisation: "vp-v" });
    assert.equal(adaptedDiffusion(teacher, "v-zero"), { ...teacher, parameterisation: "vp-v-zero", sigmaMax: SIGNAL_FREE });
  }
});

test.run();
