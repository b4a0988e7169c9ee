/** An update by Adam of vectors that go through it as one, and of a matrix, against the formula in double precision. */
import { createEngine } from "../../engine/engine.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import { adamStep, RATE_INPUTS, rateInputs } from "../../models/training/optimiser.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { assert, suite } from "../harness.ts";

const test = suite("Adam");

test("vectors of several lengths and a matrix follow the formula", async () => {
  const shapes: Record<string, number[]> = { a: [3], b: [1], matrix: [2, 3], c: [4], d: [2], e: [5] };
  const draw = (stream: string) =>
    Object.fromEntries(
      Object.entries(shapes).map(([name, shape], i) => {
        const length = shape.reduce((a, b) => a * b, 1);
        return [name, { shape, data: normals({ seed: 4, stream, offset: 100 * i, length }) }];
      }),
    );
  const [value, gradient, first] = [draw("value"), draw("gradient"), draw("first")];
  const second = Object.fromEntries(
    Object.entries(draw("second")).map(([of, { shape, data }]) => [of, { shape, data: data.map(Math.abs) }]),
  );
  const config = { beta1: 0.8, beta2: 0.9, weightDecay: 0.1, clip: 1 };
  const rates = rateInputs(3, { ...config, learningRate: 0.1, warmup: 0, decay: 0, steps: 10 });
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const sets = Object.fromEntries(
    Object.entries({ value, gradient, first, second }).map(([name, weights]) => [name, engine.variables(name, weights)]),
  );
  const step = await engine.compile({
    name: "adam",
    sets,
    inputs: RATE_INPUTS,
    run: (of, inputs) => {
      const state = { parameters: of.value!, first: of.first!, second: of.second! };
      const next = adamStep({ state, gradients: of.gradient!, rates: inputs as never, config });
      return { outputs: next.parameters as Record<string, Tensor> };
    },
  });
  const made = await step.run(rates);
  await engine.dispose();

  const norm = Math.hypot(...Object.values(gradient).flatMap(({ data }) => [...data]));
  for (const [name, { data }] of Object.entries(value)) {
    const expected = Array.from(data, (old, i) => {
      const clipped = gradient[name]!.data[i]! / Math.max(1, norm);
      const mean = 0.8 * first[name]!.data[i]! + 0.2 * clipped;
      const square = 0.9 * second[name]!.data[i]! + 0.1 * clipped ** 2;
      const direction = mean / rates.correction1[0]! / (Math.sqrt(square / rates.correction2[0]!) + 1e-8);
      return old - rates.rate[0]! * (direction + (name === "matrix" ? 0.1 * old : 0));
    });
    expected.forEach((wanted, i) => {
      const [got, allowed] = [made[name]![i]!, 2e-6 * Math.max(1, Math.abs(wanted))];
      assert.ok(Math.abs(got - wanted) < allowed, `${name}[${i}]: ${got} for ${wanted}`);
    });
  }
});

test.run();
