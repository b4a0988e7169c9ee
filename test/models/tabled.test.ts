/** Noise levels of numbered steps: a schedule with a closed form, and numbers against tensors. */
import { createEngine } from "../../engine/engine.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import { numbers, tensors } from "../../models/diffusion/arithmetic.ts";
import { tabled } from "../../models/diffusion/tabled.ts";
import { assert, suite } from "../harness.ts";

const test = suite("numbered steps");

/** With one beta at every step, (1 - beta)^(step + 1) is left. */
const BETA = 0.02;
const left = (step: number): number => (1 - BETA) ** (step + 1);
const sigma = (step: number): number => Math.sqrt(1 / left(step) - 1);
const table = tabled(
  Float64Array.from({ length: 100 }, (_, step) => left(step)),
  numbers,
);

test("levels at the steps are those of the products, and the network is told the step", () => {
  for (const step of [0, 1, 50, 99]) {
    assert.ok(Math.abs(table.sigmaAt(step) / sigma(step) - 1) < 1e-12);
    assert.ok(Math.abs(table.cNoise(sigma(step), numbers) - step) < 1e-9);
  }
  assert.ok(Math.abs(table.sigmaMin - sigma(0)) < 1e-12 && Math.abs(table.sigmaMax - sigma(99)) < 1e-12);
});

test("between two steps ln sigma runs straight; beyond the ends the end holds", () => {
  const half = Math.exp((Math.log(sigma(7)) + Math.log(sigma(8))) / 2);
  assert.ok(Math.abs(table.sigmaAt(7.5) / half - 1) < 1e-12);
  assert.ok(Math.abs(table.timeOf(half) - 7.5) < 1e-9);
  assert.equal([table.timeOf(0), table.timeOf(1e9), table.sigmaAt(-1), table.sigmaAt(200)], [0, 99, table.sigmaMin, table.sigmaMax]);
});

test("draws are the steps, each as likely as the others", () => {
  assert.equal([0, 0.0099, 0.01, 0.5, 0.9999].map(table.trainingSigma), [0, 0, 1, 50, 99].map(table.sigmaAt));
});

test("traced, it says the same of many levels at once", async () => {
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const levels = Float32Array.from([0.01, sigma(0), 0.3, sigma(42), sigma(98.5), sigma(99), 80]);
  const program = await engine.compile({
    name: "table",
    sets: {},
    inputs: { levels: { shape: [levels.length] } },
    run: (_, { levels: of }) => {
      const steps = table.cNoise(of as Tensor, tensors);
      return { outputs: { steps, again: table.sigmaOf(steps, tensors) } };
    },
  });
  const { steps, again } = await program.run({ levels });
  levels.forEach((level, i) => {
    const expected = table.cNoise(level, numbers);
    assert.ok(Math.abs(steps![i]! - expected) < 1e-3, `${level}: ${steps![i]} instead of ${expected}`);
    assert.ok(Math.abs(again![i]! / Math.min(table.sigmaMax, Math.max(table.sigmaMin, level)) - 1) < 1e-4);
  });
});

test.run();
