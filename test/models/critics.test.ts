/** The discriminators' parts that several methods share, against references in plain JavaScript and closed forms. */
import "../../engine/gradients.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { adaLoss, adaOptimiser, createAda, initAda, probabilityOf, signs } from "../../models/critics/ada.ts";
import { createDiffAugment } from "../../models/critics/diff-augment.ts";
import { disturbances } from "../../models/critics/disturbance.ts";
import { frozenPerceptual, frozenTeacher } from "../../models/critics/frozen.ts";
import { initMixing, mixed } from "../../models/critics/mixing.ts";
import { createProjectedCritic } from "../../models/critics/projection.ts";
import { type DenoiserSpec, initDenoiser } from "../../models/denoiser.ts";
import { games, gradientPenalty, r1Penalty, untouched } from "../../models/losses/adversarial.ts";
import { initPerceptual, perceptualConfig } from "../../models/losses/perceptual.ts";
import { initAdapter } from "../../models/training/adapters.ts";
import { adamStep, rateInputs } from "../../models/training/optimiser.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { uniforms } from "../../schemas/numbers/philox.ts";
import { assert, suite } from "../harness.ts";
import { noise, perturbed, toParameters } from "./parameters.ts";

const test = suite("critics");

test.before(async () => {
  await tf.setBackend("cpu");
});

const number = (t: Tensor): number => t.dataSync()[0]!;
const largest = (a: Tensor[], b: Tensor[]): number => Math.max(...a.map((t, i) => number(tf.max(tf.abs(tf.sub(t, b[i]!))))));

test("the hinge of both sides, a mean over heads and within a head", () => {
  const real = [tf.tensor2d([[0.5, 3]]), tf.tensor2d([[-2]])];
  const fake = [tf.tensor2d([[-4, 0.5]]), tf.tensor2d([[1]])];
  const hinge = (values: number[], sign: number) => values.reduce((sum, v) => sum + Math.max(0, 1 - sign * v), 0) / values.length;
  const expected = (hinge([0.5, 3], 1) + hinge([-2], 1)) / 2 + (hinge([-4, 0.5], -1) + hinge([1], -1)) / 2;
  assert.close(number(games.hinge.discriminatorLoss({ real, fake })), expected, 1e-6);
  assert.close(number(games.hinge.generatorLoss(fake)), -((-4 + 0.5) / 2 + 1) / 2, 1e-6);
  assert.is(number(games.hinge.discriminatorLoss({ real: [tf.zeros([2, 1])], fake: [tf.zeros([2, 1])] })), 2);
});

test("R1 of a batch: of linear heads the squared length of their sum, of one row the single penalty, and it may be of features", () => {
  const weights = [noise("w0", [8]), noise("w1", [8])];
  const heads = ([x]: Tensor[]): Tensor[] => weights.map((w) => tf.matMul(tf.reshape(x!, [3, 8]), tf.reshape(w, [8, 1])));
  const x = noise("x", [3, 2, 2, 2]);
  const length = number(tf.sum(tf.square(tf.add(weights[0]!, weights[1]!))));
  assert.close(number(gradientPenalty({ at: [x], discriminate: heads })) / length, 1, 1e-5);

  const bent = ([x]: Tensor[]): Tensor[] => [tf.mul(tf.tanh(tf.reshape(x!, [x!.shape[0]!, 8])), weights[0]!)];
  const rows = tf.split(x, 3).map((row) => number(r1Penalty({ x: row, discriminate: (one) => bent([one]) })));
  assert.close(number(gradientPenalty({ at: [x], discriminate: bent })), rows.reduce((a, b) => a + b) / 3, 1e-6);

  const two = [noise("f0", [3, 4]), noise("f1", [3, 2])];
  const squares = (maps: Tensor[]): Tensor[] => maps.map((map) => tf.mul(tf.square(map), 0.5)); // slope map / positions
  const sum = [4, 2].reduce((total, n, i) => total + number(tf.sum(tf.square(two[i]!))) / n ** 2, 0) / 3;
  assert.close(number(gradientPenalty({ at: two, discriminate: squares })), sum, 1e-6);
  assert.is(number(untouched({ a: tf.ones([2]), b: tf.scalar(3) })), 0);
});

function spec(kind: "dit" | "unet", condition: "none" | "class" | "caption"): DenoiserSpec {
  const network = { kind, condition, width: 8, depth: kind === "dit" ? 3 : 1, heads: 2, multipliers: [1, 2], patch: 2 };
  const settings = settingsSchema.parse({ network: { ...network, captionTokens: 6, textDepth: 1 } });
  const classes = condition === "class" ? ["a", "b", "c"] : [];
  return { ...settings, shape: [8, 8, 2], classes, vocabulary: condition === "caption" ? 40 : 0 };
}
const givenOf = (condition: string, rows: number[]): Record<string, Tensor> => {
  const keep = tf.ones([rows.length]);
  if (condition === "class") return { label: tf.tensor1d(rows, "int32"), keep };
  if (condition === "none") return {};
  return {
    tokens: tf.tensor2d(
      rows.map((row) => [20 + row, 1, 0, 0, 0, 0]),
      [rows.length, 6],
      "int32",
    ),
    keep,
  };
};

const config = perceptualConfig({ shape: [8, 8, 2], width: 4, sigmaData: 0.5, classes: 3, words: [] });
const perceptual = perturbed(initPerceptual(config, 1), 0.05);

for (const kind of ["dit", "unet"] as const) {
  for (const condition of ["none", "class", "caption"] as const) {
    test(`heads over two frozen networks, ${kind} and ${condition}: rows are judged alone, conditions count, projections stay`, () => {
      const of = spec(kind, condition);
      const teacher = perturbed(initDenoiser(of, 1), 0.05);
      const networks = [frozenPerceptual(config), frozenTeacher(of, { depth: 2 })];
      const critic = createProjectedCritic({ spec: of, networks, mixing: "scales", width: 6 });
      const weights = perturbed(critic.init(teacher, 3), 0.05);
      const parameters = toParameters(weights);
      const read = { perceptual: toParameters(perceptual), teacher: toParameters(teacher) };
      const x = noise("x", [3, 8, 8, 2]);
      const judge = (x: Tensor, rows: number[]) => critic.logits(parameters, { x, given: givenOf(condition, rows) }, read);
      const logits = judge(x, [0, 1, 2]);
      assert.is(logits.length, 2 * (3 + (kind === "dit" ? 2 : 6)));
      assert.ok(logits.every(({ shape: [rows, places] }, i) => rows === 3 && (i % 2 === 0 ? places! >= 4 : places === 1)));
      assert.ok(
        largest(
          logits,
          judge(tf.reverse(x, 0), [2, 1, 0]).map((t) => tf.reverse(t, 0)),
        ) < 1e-4,
      );
      const other = largest(logits, judge(x, [1, 2, 0]));
      assert.ok(condition === "none" ? other === 0 : other > 1e-4, `${other}`);

      const { trained, frozen } = initAdapter({ weights, adapter: critic.train, groups: {}, seed: 0 });
      assert.ok(Object.keys(frozen).length > 0 && Object.keys(frozen).every((name) => name.startsWith("mixing.")));
      assert.ok(Object.keys(trained).every((name) => !name.startsWith("mixing.")));
      const again = critic.init(teacher, 3);
      for (const name of Object.keys(frozen)) assert.equal(again[name]!.data, critic.init(teacher, 3)[name]!.data);
      assert.not.equal(
        critic.init(teacher, 4)["mixing.perceptual.0.channels.kernel"]!.data,
        again["mixing.perceptual.0.channels.kernel"]!.data,
      );
    });
  }
}

test("the teacher's heads see latents under noise of which they are told; the others see them clean", () => {
  const of = spec("dit", "class");
  const teacher = perturbed(initDenoiser(of, 1), 0.05);
  const networks = [frozenPerceptual(config), frozenTeacher(of, { depth: 1 })];
  const critic = createProjectedCritic({ spec: of, networks, mixing: "none", isDisturbed: true, width: 6 });
  const parameters = toParameters(perturbed(critic.init(teacher, 3), 0.05));
  const read = { perceptual: toParameters(perceptual), teacher: toParameters(teacher) };
  const x = noise("x", [3, 8, 8, 2]);
  const given = givenOf("class", [0, 1, 2]);
  const drawn = disturbances({ range: { mean: 1, std: 1 }, spec: of, batch: 3, seed: 1, step: 0 });
  const tensors = Object.fromEntries(Object.entries(drawn).map(([name, data]) => [name.replace("disturbance.", ""), tf.tensor1d(data)]));
  const disturbance = { ...tensors, noise: tf.reshape(tensors.noise!, [3, 8, 8, 2]) } as never as { noise: Tensor; cNoise: Tensor };
  const judge = (changes: object) => critic.logits(parameters, { x, given, disturbance: { ...disturbance, ...changes } as never }, read);
  const [a, quiet] = [judge({}), judge({ noise: tf.zerosLike(x) })];
  assert.is(largest(a.slice(0, 6), quiet.slice(0, 6)), 0);
  assert.ok(largest(a.slice(6), quiet.slice(6)) > 1e-3);
  const maps = critic.maps(parameters, { x, given, disturbance: disturbance as never }, read);
  const told = (cNoise: Tensor) => critic.judge(parameters, maps, { given, disturbance: { ...disturbance, cNoise } as never });
  assert.ok(largest(told(disturbance.cNoise).slice(6), told(tf.add(disturbance.cNoise, 0.3)).slice(6)) > 1e-3);
  assert.is(largest(told(disturbance.cNoise), a), 0);
});

test("levels are logit-normal where they are LADD's, within the teacher's range", () => {
  const of = spec("dit", "none");
  const sigmas = (step: number) =>
    disturbances({ range: { mean: 0.7, std: 0.5 }, spec: of, batch: 512, seed: 2, step })["disturbance.sigma"]!;
  const logs = [0, 1, 2, 3].flatMap((step) => [...sigmas(step)].map((sigma) => Math.log(sigma / of.diffusion.sigmaData)));
  const mean = logs.reduce((a, b) => a + b) / logs.length;
  const std = Math.sqrt(logs.reduce((sum, log) => sum + (log - mean) ** 2, 0) / logs.length);
  assert.close(mean, 0.7, 0.04);
  assert.close(std, 0.5, 0.03);
  const wide = disturbances({ range: { mean: 0, std: 50 }, spec: of, batch: 64, seed: 2, step: 0 })["disturbance.sigma"]!;
  assert.close(Math.max(...wide) / of.diffusion.sigmaMax, 1, 1e-6);
  assert.close(Math.min(...wide) / of.diffusion.sigmaMin, 1, 1e-6);
});

test("mixed maps keep their sizes and about their power, and the coarse reach the fine but not the other way", () => {
  const channels = [8, 16];
  const parameters = toParameters(initMixing({ name: "n", channels, mixing: "scales", width: 64, seed: 1 }));
  const [fine, coarse] = [noise("fine", [2, 8, 8, 8]), noise("coarse", [2, 4, 4, 16])];
  const out = mixed(parameters, "n", [fine, coarse], "scales");
  assert.equal(
    out.map(({ shape }) => shape),
    [
      [2, 8, 8, 64],
      [2, 4, 4, 64],
    ],
  );
  const power = (t: Tensor) => number(tf.mean(tf.square(t)));
  assert.close(power(out[1]!) / power(coarse), 1, 0.3);
  assert.close(power(out[0]!) / power(fine), 1, 0.35);
  const [moved, still] = mixed(parameters, "n", [noise("other", [2, 8, 8, 8]), coarse], "scales") as [Tensor, Tensor];
  assert.is(largest([still], [out[1]!]), 0);
  assert.ok(largest([moved], [out[0]!]) > 0.1);
  const below = mixed(parameters, "n", [fine, noise("deep", [2, 4, 4, 16])], "scales");
  assert.ok(largest([below[0]!], [out[0]!]) > 0.1);
  const odd = mixed(parameters, "n", [noise("odd", [2, 7, 7, 8]), coarse], "scales");
  assert.equal(odd[0]!.shape, [2, 7, 7, 64]);
});

/** DiffAugment of one sample, as the reference's formulas have it: plain loops over x[h][w][c]. */
function reference(x: number[][][], [brightness, saturation, contrast, down, right, top, left]: number[]): number[][][] {
  const [height, width, channels] = [x.length, x[0]!.length, x[0]![0]!.length];
  const bright = x.map((row) => row.map((pixel) => pixel.map((v) => v + brightness! - 0.5)));
  const saturated = bright.map((row) =>
    row.map((pixel) => {
      const mean = pixel.reduce((a, b) => a + b) / channels;
      return pixel.map((v) => (v - mean) * 2 * saturation! + mean);
    }),
  );
  const mean = saturated.flat(2).reduce((a, b) => a + b) / (height * width * channels);
  const out: number[][][] = [];
  for (let i = 0; i < height; i++) {
    out.push([]);
    for (let j = 0; j < width; j++) {
      const source = saturated[i - down!]?.[j - right!];
      const isCut = i >= top! && i < top! + Math.floor(height / 2 + 0.5) && j >= left! && j < left! + Math.floor(width / 2 + 0.5);
      out[i]!.push((source ?? []).map((v) => (isCut ? 0 : (v - mean) * (contrast! + 0.5) + mean)));
      if (!source) out[i]![j] = new Array<number>(channels).fill(0);
    }
  }
  return out;
}

test("DiffAugment is its formulas: colour, then translation over zeros, then cutout; gradients flow through", () => {
  const shape = [8, 6, 3] as const;
  const augmenter = createDiffAugment({ shape, policy: ["color", "translation", "cutout"] });
  const rows = 40;
  const draws = augmenter.draws({ seed: 5, stream: "s", step: 2, rows });
  assert.equal(draws, augmenter.draws({ seed: 5, stream: "s", step: 2, rows }));
  const x = noise("x", [rows, ...shape]);
  const drawn = tf.tensor2d(draws, [rows, 7]);
  const out = augmenter.apply(x, drawn).arraySync() as number[][][][];
  const samples = x.arraySync() as number[][][][];
  for (const [i, sample] of samples.entries()) {
    const expected = reference(sample, [...draws.subarray(7 * i, 7 * i + 7)]).flat(2);
    const worst = Math.max(...out[i]!.flat(2).map((v, k) => Math.abs(v - expected[k]!)));
    assert.ok(worst < 1e-5, `sample ${i}: ${worst}`);
  }
  const column = (k: number) => Array.from({ length: rows }, (_, i) => draws[7 * i + k]!);
  assert.equal([Math.min(...column(3)), Math.max(...column(3))], [-1, 1]); // an eighth of 8
  assert.ok(Math.min(...column(5)) === -2 && Math.max(...column(5)) === 6, "the square's centre lies anywhere, edges too");

  const only = createDiffAugment({ shape, policy: ["translation"] });
  const slope = tf.grad((t: Tensor) => tf.sum(only.apply(t, drawn)))(x); // 1 where a pixel stays inside, else 0
  const kept = column(3).reduce((sum, down, i) => sum + (8 - Math.abs(down)) * (6 - Math.abs(column(4)[i]!)) * 3, 0);
  assert.close(number(tf.sum(slope)), kept, 1e-2);
});

test("ADA does nothing at p = 0 and fires as often as p says, each transform by itself", () => {
  const shape = [8, 8, 2] as const;
  const rows = 200;
  const x = noise("x", [rows, ...shape]);
  const changed = (pipes: string, p: number): boolean[] => {
    const augmenter = createAda({ shape, pipes });
    const draws = augmenter.draws({ seed: 5, stream: "s", step: 1, rows });
    const out = augmenter.apply(x, tf.tensor2d(draws, [rows, augmenter.columns]), tf.scalar(p));
    return [...tf.max(tf.abs(tf.sub(out, x)), [1, 2, 3]).dataSync()].map((value) => value > 1e-4);
  };
  const share = (values: boolean[]) => values.filter(Boolean).length / values.length;
  for (const pipes of ["b", "g", "c", "r", "bgc"]) assert.is(share(changed(pipes, 0)), 0, pipes);
  assert.close(share(changed("c", 0.3)), 1 - 0.7 ** 3, 0.1); // three transforms of strength that is almost surely seen
  assert.close(share(changed("g", 0.3)), 1 - 0.7 ** 3, 0.1);
  assert.close(share(changed("r", 0.5)), 0.5, 0.1);
  assert.is(share(changed("c", 1)), 1);
  const fired = changed("bgc", 0.2);
  assert.ok(
    changed("bgc", 0.6).every((now, i) => now || !fired[i]),
    "a greater p fires what a lesser one does",
  );
});

test("ADA's flips and turns are those of a square", () => {
  const augmenter = createAda({ shape: [4, 4, 1], pipes: "b" });
  const rows = 64;
  const x = tf.tile(noise("x", [1, 4, 4, 1]), [rows, 1, 1, 1]);
  const all = augmenter.draws({ seed: 1, stream: "s", step: 0, rows });
  const { columns } = augmenter;
  for (let row = 0; row < rows; row++) all.fill(0, row * columns + 4, row * columns + 6); // no shift
  const out = augmenter.apply(x, tf.tensor2d(all, [rows, columns]), tf.scalar(1)).arraySync() as number[][][][];
  const first = (x.arraySync() as number[][][][])[0]!.map((row) => row.map(([v]) => v!));
  const turn = (m: number[][]) => m[0]!.map((_, j) => m.map((row) => row[j]!).reverse());
  const flip = (m: number[][]) => m.map((row) => [...row].reverse());
  const turned = [first, turn(first), turn(turn(first)), turn(turn(turn(first)))];
  const eight = [...turned, ...turned.map(flip)].map((m) => m.flat());
  const seen = out.map((sample) => {
    const flat = sample.flat(2);
    return eight.findIndex((m) => m.every((v, i) => Math.abs(v - flat[i]!) < 1e-5));
  });
  assert.equal([...new Set(seen)].sort(), [0, 1, 2, 3, 4, 5, 6, 7]);
});

test("p climbs while real rows are told for sure, falls below the target, and stays within [0, 1]", () => {
  const [batch, images] = [8, 400];
  const config = adaOptimiser({ batch, images, steps: 100 });
  const zeros = toParameters(initAda());
  let state = { parameters: zeros, first: toParameters(initAda()), second: toParameters(initAda()) };
  let [expected, worst] = [0, 0];
  for (let step = 0; step < 120; step++) {
    const level = step < 70 ? 0.95 : 0.5; // the share of rows that are told right
    const logits = [
      tf.tensor2d(
        Array.from(uniforms({ seed: 1, stream: "l", offset: step * batch, length: batch }), (u) => level - u),
        [batch, 1],
      ),
    ];
    const sure = signs(logits);
    const r = number(tf.mean(sure));
    const gradient = tf.grad((p: Tensor) => adaLoss({ probability: p }, { sure, target: 0.6 }))(state.parameters.probability!);
    const rates = Object.fromEntries(Object.entries(rateInputs(step, config)).map(([name, [value]]) => [name, tf.scalar(value!)]));
    state = adamStep({ state, gradients: { probability: gradient }, rates: rates as never, config });
    const next = expected + (Math.sign(r - 0.6) * batch) / images;
    expected = (expected <= 0 && r < 0.6) || (expected >= 1 && r > 0.6) ? expected : next;
    const p = number(state.parameters.probability!);
    worst = Math.max(worst, Math.abs(p - expected));
    assert.ok(number(probabilityOf(state.parameters)) >= 0 && number(probabilityOf(state.parameters)) <= 1);
    expected = p; // of float32
  }
  assert.ok(worst < 1e-6, `${worst}`);
});

test.run();
