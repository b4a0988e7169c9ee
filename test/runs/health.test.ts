import { normals } from "../../schemas/numbers/philox.ts";
import { methodNamed } from "../../methods/registry.ts";
import { descentFindings } from "../../methods/findings/descent.ts";
import type { Line } from "../../schemas/figures.ts";
import { findingsOf as findingsBy } from "../../stages/runs/health.ts";
import { assert, suite } from "../harness.ts";

const test = suite("health words");

const { findings = [], rare } = methodNamed("diffusion2gan");
const findingsOf = (lines: Line[]) => findingsBy(lines, [...descentFindings(rare), ...findings]);

/** A history of `count` lines, ten steps apart; `of` is given a line's number and a unit normal of its own. */
function history(count: number, of: (line: number, noise: number) => Record<string, number>): Line[] {
  const noise = normals({ seed: 11, stream: "health", length: count });
  return Array.from({ length: count }, (_, i) => ({ step: 10 * (i + 1), ...of(i, noise[i]!) }));
}

/** One line a measurement. */
const measured = (figure: "distance" | "diversity", values: number[]): Line[] =>
  values.map((value, i) => ({ step: 1000 * (i + 1), [figure]: value }) as Line);

const names = (lines: Line[]): string[] => findingsOf(lines).map(({ name }) => name);

test("says nothing of a training that goes well, nor of one that has just begun", () => {
  assert.equal(names([]), []);
  assert.equal(names([{ step: 10, loss: 3, norm: 2 }]), []);
  const well = history(400, (i, z) => ({
    loss: 1 / (1 + i / 50) + 0.05 * Math.abs(z),
    norm: Math.exp(0.4 * z),
    perceptual: 0.3,
    latent: 0.1,
    ...(i > 50 && {
      adversarial: 0.7 + 0.1 * z,
      d_loss: 1.3,
      d_norm: Math.exp(0.4 * z),
      d_accuracy: 0.6 + 0.05 * z,
      d_real: 0.4,
      d_fake: -0.4,
    }),
    ...(i % 50 === 0 && { distance: 60 / (1 + i / 50), diversity: Math.min(0.95, 0.4 + i / 200) }),
  }));
  for (let length = 1; length <= well.length; length += 7) assert.equal(names(well.slice(0, length)), [], `after ${length} lines`);
});

test("a discriminator that is always right is saturated; one that was so for a moment is not", () => {
  const judged = (accuracy: (i: number) => number) => history(60, (i) => ({ d_accuracy: accuracy(i), d_real: 9, d_fake: -8 }));
  const [finding] = findingsOf(judged((i) => (i < 30 ? 0.6 : 0.99)));
  assert.is(finding?.name, "discriminator saturated");
  assert.match(finding!.seen, /99 % of cases \(mean logits 9 for real, -8 for generated\)/);
  assert.match(finding!.remedy, /discriminatorRate/);
  assert.equal(names(judged(() => 0.93)), []);
  assert.equal(names(judged((i) => (i % 10 === 0 ? 0.5 : 1))), []);
  assert.equal(names(judged((i) => (i < 50 ? 0.6 : 1))), []);
  assert.equal(names(judged((i) => (i < 30 ? 1 : 0.6))), [], "it has recovered");
});

test("a discriminator whose logits swing together from step to step is named; one that is right, or in doubt, is not", () => {
  const judged = (of: (i: number, z: number) => [number, number]) =>
    findingsOf(history(40, (i, z) => ({ d_real: of(i, z)[0], d_fake: of(i, z)[1], d_accuracy: 0.7 })));
  // As seen in a training on Fashion-MNIST with a rate of 2e-4 and no momentum.
  const [finding] = judged((i) => (i % 2 === 0 ? [0.75, -0.1] : [-0.35, -0.78]));
  assert.is(finding?.name, "discriminator swinging");
  assert.match(finding!.remedy, /discriminatorRate/);
  assert.equal(
    judged((_, z) => [0.5 + 0.1 * z, -0.4 + 0.1 * z]),
    [],
  );
  assert.equal(
    judged((_, z) => [0.05 * z, 0.04 * z]),
    [],
  );
});

test("samples that become alike have collapsed; blurred beginnings and one bad measurement have not", () => {
  const spread = (values: number[]) => names(measured("diversity", values));
  assert.equal(spread([0.8, 0.9, 0.9, 0.6, 0.55]), ["collapse of diversity"]);
  assert.equal(spread([0.8, 0.9, 0.3, 0.2]), ["collapse of diversity"]);
  assert.equal(spread([0.3, 0.3, 0.4, 0.45]), ["collapse of diversity"], "half of the real spread, for long");
  assert.equal(spread([0.4, 0.45]), []);
  assert.equal(spread([0.8, 0.9, 0.9, 0.6]), []);
  assert.equal(spread([0.8, 0.9, 0.6, 0.9]), []);
  assert.equal(spread([1.3, 1.4, 0.95, 0.95]), [], "as varied as the real ones");
});

test("norms five times what they were explode; noise, slow growth and a new term of the loss do not", () => {
  const run = (norm: (i: number, z: number) => number, name = "norm") => findingsOf(history(100, (i, z) => ({ [name]: norm(i, z) })));
  const [finding] = run((i, z) => Math.exp(0.5 * z) * (i < 88 ? 1 : 12));
  assert.is(finding?.name, "exploding norms");
  assert.match(finding!.remedy, /learningRate/);
  assert.match(run((i) => (i < 88 ? 1 : 12), "d_norm")[0]!.remedy, /discriminatorRate/);
  assert.equal(
    run((_, z) => Math.exp(z)),
    [],
  );
  assert.equal(
    run((i) => 1.01 ** i),
    [],
  );
  assert.equal(
    run((i) => (i % 10 === 0 ? 50 : 1)),
    [],
    "single peaks",
  );
  const joins = history(100, (i) => ({ norm: i < 85 ? 1 : 12, ...(i >= 85 && { adversarial: 0.7, d_norm: 1 }) }));
  assert.equal(names(joins), [], "the discriminator joins");
  const rare = history(100, (i) => ({ norm: i < 88 ? 1 : 12, ...(i % 3 === 0 && { r1: 1, distance: 5 }) }));
  assert.ok(names(rare).includes("exploding norms"), "lines with and without R1 are alike");
});

test("a distance that rises drifts; one that neither falls nor rises is stalled", () => {
  const course = (values: number[]) => names(measured("distance", values));
  assert.equal(course([30, 20, 15, 14, 23, 26]), ["drifting away"]);
  assert.equal(course([30, 20, 15, 14, 23, 16]), []);
  assert.equal(course([30, 20, 15, 14.1, 14.2, 14.05, 14.3, 14.1, 14.15, 14.02]), ["learning stalled"]);
  assert.equal(course([30, 20, 15, 14.5, 14, 13.5, 13, 12.5, 12, 11.5]), []);
  assert.equal(course([30, 30, 30]), [], "too early to say");
});

test("where no distance is measured, a loss that does not fall is stalled", () => {
  const losses = (mean: (i: number) => number) => names(history(300, (i, z) => ({ loss: mean(i) * (1 + 0.1 * z) })));
  assert.equal(
    losses(() => 2.3),
    ["learning stalled"],
  );
  assert.equal(
    losses((i) => 2.3 - i / 600),
    [],
  );
  assert.equal(
    losses((i) => (i < 50 ? 2.3 : 1)),
    [],
    "it fell once",
  );
});

test.run();
