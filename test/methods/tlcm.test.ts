/** TLCM's losses on Gaussian data, where every prediction and every step is a factor, and where its states come from. */
import "../../engine/gradients.ts";
import { tf } from "../../engine/tfjs.ts";
import type { Kit, Update } from "../../methods/method.ts";
import { optimiserOf, ownSettings } from "../../methods/registry.ts";
import { method, type TlcmSettings } from "../../methods/tlcm.ts";
import { type DenoiserSpec, initDenoiser } from "../../models/denoiser.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import type { Settings } from "../../schemas/settings.ts";
import { assert, suite } from "../harness.ts";
import { noise, toParameters } from "../models/parameters.ts";

const test = suite("tlcm");

/** A fresh network answers 0: D = .25 / (.25 + sigma^2) x, the exact denoiser of N(0, .25) (Karras et al. 2022, table 1). */
const clean = (sigma: number): number => 0.25 / (0.25 + sigma ** 2);
const line = (from: number, to: number): number => clean(from) + ((1 - clean(from)) * to) / from;
const rms = (factors: number[], x: Float32Array): number =>
  factors.reduce((sum, factor, row) => sum + x.subarray(16 * row, 16 * row + 16).reduce((s, v) => s + (factor * v) ** 2, 0), 0) / x.length;

function kitOf(own: Record<string, unknown>, trajectory?: number[]) {
  const settings = settingsSchema.parse({
    network: { width: 8, depth: 1, heads: 1, patch: 2, condition: "none" },
    train: { method: "tlcm", batch: 4, steps: 8, tlcm: own },
  }) as Settings;
  const spec = { network: settings.network, diffusion: settings.diffusion, shape: [4, 4, 1], classes: [], vocabulary: 0 } as DenoiserSpec;
  const weights = initDenoiser(spec, 1);
  const job = { settings: ownSettings(method as never, settings.train) as TlcmSettings, optimiser: optimiserOf(settings.train), seed: 5 };
  const kit: Kit<TlcmSettings> = { ...job, subject: { spec, ...(trajectory && { trajectory }) }, weights: { teacher: weights } };
  return { kit, parameters: toParameters(weights) };
}

test("within segments: both states are carried to the segment's start by the student's line, and compared", async () => {
  await tf.setBackend("cpu");
  const { kit, parameters } = kitOf({ start: "images", solver: "ddim", skipSteps: 1 });
  const { loss } = method.programs(kit).segments as Update;
  const [from, to, start] = [
    [3, 1, 0.5, 20],
    [2.5, 0.8, 0.4, 19],
    [2, 0.8, 0.1, 9],
  ] as const;
  const [image, draw] = [noise("image", [4, 4, 4, 1]), noise("draw", [4, 4, 4, 1])];
  const down = tf.tensor2d(
    from.flatMap((sigma, i) => [sigma, to[i]!]),
    [4, 2],
  );
  const read = { student: parameters, teacher: parameters };
  const { metrics } = loss(parameters, { down, start: tf.tensor([...start]), clean: image, noise: draw }, read);
  const above = tf.add(image, tf.mul(draw, tf.tensor([...from]).reshape([4, 1, 1, 1]))).dataSync() as Float32Array;
  const factors = from.map((sigma, i) => line(sigma, start[i]!) - line(sigma, to[i]!) * line(to[i]!, start[i]!));
  assert.close(metrics.segments!.dataSync()[0]!, rms(factors, above), 1e-5);
});

test("over the whole time: predictions from a milestone and from the teacher's steps below it are compared", async () => {
  await tf.setBackend("cpu");
  const { kit, parameters } = kitOf({ start: "images", solver: "ddim", teacherSteps: 2 });
  const { loss } = method.programs(kit).whole as Update;
  const ladders = [
    [5, 4, 2],
    [2, 1, 0.7],
    [0.7, 0.3, 0.1],
    [80, 60, 40],
  ];
  const [image, draw] = [noise("image", [4, 4, 4, 1]), noise("draw", [4, 4, 4, 1])];
  const read = { student: parameters, teacher: parameters };
  const { metrics } = loss(parameters, { down: tf.tensor2d(ladders), clean: image, noise: draw }, read);
  const tops = tf.tensor(ladders.map(([top]) => top!)).reshape([4, 1, 1, 1]);
  const above = tf.add(image, tf.mul(draw, tops)).dataSync() as Float32Array;
  const factors = ladders.map(([a, b, c]) => clean(a!) - line(a!, b!) * line(b!, c!) * clean(c!));
  assert.close(metrics.whole!.dataSync()[0]!, rms(factors, above), 1e-5);
});

test("stored states: neighbours that no segment's end parts, then milestones; nothing is asked of the teacher", async () => {
  const trajectory = [40, 15, 6, 2.5, 1, 0.4, 0.1];
  const { kit } = kitOf({ start: "trajectory", segments: [4, 1], secondPart: 0.25, lastPart: 0 }, trajectory);
  const states = trajectory.map((sigma) => new Float32Array(64).fill(sigma));
  const batch = { noise: new Float32Array(64).fill(1), latent: new Float32Array(64), states, conditions: {} };
  const ladder = [80, ...trajectory, 0.002].map(Math.fround);
  const seen: Record<string, Float32Array>[] = [];
  for (let step = 0; step < 8; step++) {
    await method.step({ ...batch, step }, kit, async (program, inputs) => {
      assert.is(program, step < 6 ? "segments" : "whole");
      seen.push(inputs as Record<string, Float32Array>);
      return {};
    });
  }
  for (const [step, { down, start, state, next, ...rest }] of seen.entries()) {
    assert.equal(Object.keys(rest), ["keep"]);
    for (let row = 0; row < 4; row++) {
      const [from, to] = [down![2 * row]!, down![2 * row + 1]!];
      const [i, j] = [ladder.indexOf(from), ladder.indexOf(to)];
      const of = (rung: number): number => (rung === 8 ? 0 : ladder[rung]!); // each state is filled with its level, the result with 0
      assert.equal([state![16 * row], next![16 * row]], [of(i), of(j)]);
      if (start) assert.ok(j === i + 1 && start[row]! <= to && ladder.includes(start[row]!));
      if (start && step >= 3) assert.is(start[row], ladder[8], "one segment is left");
      if (!start) assert.ok(j > i);
    }
  }
});

test("where states come from decides what a training needs", () => {
  const of = (own: object) => method.needs({ ...kitOf({}).kit.settings, ...own }, kitOf({}).kit.optimiser);
  assert.equal(of({}), { rows: "none", frozen: ["teacher"] });
  assert.is(of({ start: "images" }).rows, "latents");
  assert.equal([of({ start: "trajectory" }).rows, of({ start: "trajectory" }).trajectory], ["triples", true]);
  assert.equal(of({ perceptualWeight: 1 }).uses, ["perceptual"]);
});

test("of a store's trajectory the sampler asks at its milestones alone", () => {
  const { kit } = kitOf({});
  const whole = method.sampler!(kit.settings, kit.subject);
  assert.equal([whole.times.length, Object.keys(whole.choices!).length, whole.between], [4, 8, "renoise"]);
  const stored = kitOf({ start: "trajectory" }, [15, 2.5, 0.4]).kit;
  const { choices } = method.sampler!(stored.settings, stored.subject);
  assert.equal(choices, { 1: [80], 2: [80, 2.5], 3: [80, 2.5, 0.4], 4: [80, 15, 2.5, 0.4] });
});

test.run();
