/** Pieces of few-step distillation: walks from noise, ladders of stored states, samples by fresh noise, distribution matching. */
import "../../engine/gradients.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { walked, walkLevels } from "../../models/diffusion/coarse-walk.ts";
import { fewShares, renoised } from "../../models/diffusion/few-steps.ts";
import { ladderOf, pickedRows } from "../../models/diffusion/ladder.ts";
import { createParameterisation } from "../../models/diffusion/parameterisation.ts";
import { matchingLoss } from "../../models/losses/distribution-matching.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { stratified } from "../../schemas/numbers/strata.ts";
import { assert, suite } from "../harness.ts";
import { noise } from "./parameters.ts";

const test = suite("few steps");

const parameterisation = createParameterisation(settingsSchema.parse({}).diffusion);

test("each row walks from the top to its share in ceil((1 - t) steps) even steps, and the others of the batch with it", async () => {
  await tf.setBackend("cpu");
  for (const [batch, steps] of [
    [12, 8],
    [4, 8],
    [5, 3],
    [3, 1],
  ] as const) {
    const shares = Array.from(stratified({ seed: 1, stream: "t", length: batch, strata: batch }));
    const walk = walkLevels({ shares, rows: batch, steps, levelAt: (share) => 10 * share });
    let calls = 0;
    const end = walked({
      start: noise("start", [batch, 1, 1, 1]),
      walk: tf.tensor2d(walk, [batch, steps + 1]),
      step: ({ x, from, to, rows }) => {
        calls += rows;
        const drop = tf.sub(from, to).reshape([rows, 1, 1, 1]);
        return tf.add(tf.mul(x, tf.add(drop, 1)), drop);
      },
    }).dataSync();
    const start = noise("start", [batch, 1, 1, 1]).dataSync();
    shares.forEach((share, row) => {
      const taken = Math.ceil((1 - share) * steps);
      let x = start[row]!;
      for (let i = 0; i < taken; i++) x = x * ((10 * (1 - share)) / taken + 1) + (10 * (1 - share)) / taken;
      assert.close(end[row]!, x, 1e-4 * (1 + Math.abs(x)), `row ${row} of ${batch} in ${steps}`);
    });
    assert.ok(calls <= batch * ((steps + 1) / 2) + batch, `${calls} rows went through the teacher`);
  }
});

test("strata have one draw in each part, in rising order, wherever a slice begins", () => {
  const draw = { seed: 3, stream: "s", strata: 8 };
  const all = stratified({ ...draw, length: 32 });
  all.forEach((value, i) => assert.ok(value >= (i % 8) / 8 && value < ((i % 8) + 1) / 8));
  assert.equal([...stratified({ ...draw, offset: 5, length: 10 })], [...all.subarray(5, 15)]);
});

test("a ladder has noise at its head and the result at its foot, and segments end on rungs", () => {
  const { timeOf, sigmaAt, sigmaMin, sigmaMax } = parameterisation;
  const level = (share: number): number => sigmaAt(timeOf(sigmaMin) + share * (timeOf(sigmaMax) - timeOf(sigmaMin)));
  const trajectory = [1, 0.9, 0.74, 0.6, 0.52, 0.4, 0.26, 0.1].map(level);
  const { sigmas, rungs, ends } = ladderOf(parameterisation, trajectory);
  assert.equal(sigmas, [sigmaMax, ...trajectory.slice(1), sigmaMin]);
  assert.equal(ends(1), [8]);
  assert.equal(ends(4), [2, 4, 6, 8]);
  const states = trajectory.map((_, i) => Float32Array.of(i, i + 0.5));
  const found = rungs({ noise: Float32Array.of(1, -1), states, latent: Float32Array.of(7, 8) });
  assert.equal([...found[0]!], [sigmaMax, -sigmaMax].map(Math.fround));
  assert.equal([...pickedRows(found, [8, 3])], [7, 3.5]);
});

test("TLCM's times by number of calls are a rising choice of eight points that begins at pure noise", () => {
  assert.equal(fewShares(4), [1, 0.75, 0.5, 0.125]);
  for (let calls = 1; calls <= 12; calls++) {
    const shares = fewShares(calls);
    assert.equal([shares.length, shares[0]], [calls, 1]);
    for (let i = 1; i < calls; i++) assert.ok(shares[i]! < shares[i - 1]! && shares[i]! > 0);
  }
});

test("a sample by fresh noise goes through each level in turn", async () => {
  await tf.setBackend("cpu");
  const draws = [0.5, -1, 2].map((value) => tf.fill([2, 1, 1, 1], value));
  const levels = [8, 2, 0.25];
  const end = renoised({ predict: (x, sigma) => tf.div(x, tf.add(1, sigma).reshape([-1, 1, 1, 1])), levels, draws });
  const first = (8 * 0.5) / 9;
  const second = (first + 2 * -1) / 3;
  assert.close(end.dataSync()[1]!, (second + 0.25 * 2) / 1.25, 1e-6);
});

test("distribution matching moves samples by (fake - real) / mean |x - real| of their row", async () => {
  await tf.setBackend("cpu");
  const [x, real, fake] = ["x", "real", "fake"].map((name) => noise(name, [2, 2, 2, 1])) as [Tensor, Tensor, Tensor];
  const slope = tf
    .grad((at) => matchingLoss({ x: at, real, fake }))(x)
    .dataSync();
  const [xs, reals, fakes] = [x, real, fake].map((t) => t.dataSync()) as [Float32Array, Float32Array, Float32Array];
  for (let i = 0; i < 8; i++) {
    const row = 4 * Math.floor(i / 4);
    let size = 0;
    for (let j = row; j < row + 4; j++) size += Math.abs(xs[j]! - reals[j]!) / 4;
    assert.close(slope[i]!, (fakes[i]! - reals[i]!) / size / 8, 1e-5); // a mean over 8 elements
  }
});

test.run();
