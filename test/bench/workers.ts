/**
 * Several workers of a training beside one: steps a second of one trainer with every core, of the same with the batch in micro-batches,
 * and of WORKERS trainers that share cores and micro-batches, in turns; then what adding up gradients takes by itself, in milliseconds
 * for a million numbers and worker. STEPS (8) of each measurement, ROUNDS (3), WORKERS (2), CORES (all), WIDTH (128) of the network and
 * NUMBERS (2e7) of the sum come from the environment; `--out FILE.json`.
 */
import { availableParallelism } from "node:os";
import type { Compute } from "../../engine/compute.ts";
import { countWeights } from "../../engine/weights.ts";
import { methodNamed, optimiserOf, ownSettings } from "../../methods/registry.ts";
import { type DenoiserSpec, initDenoiser } from "../../models/denoiser.ts";
import { createMeeting, joinMeeting } from "../../models/training/shared-sum.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { diffusionSettings, networkSettings } from "../../schemas/settings.ts";
import { startWorker } from "../../stages/workers/start.ts";
import { startTeam } from "../../stages/workers/team.ts";
import { threadsOfEach } from "../../stages/workers/threads.ts";
import type { Among, TrainerApi, TrainerOptions } from "../../stages/workers/trainer.ts";
import { openBench, rounded } from "./record.ts";

const { settings: asked, record } = openBench({
  ...{ STEPS: "8", ROUNDS: "3", WORKERS: "2", CORES: String(availableParallelism()), WIDTH: "128", NUMBERS: "2e7" },
});
const [cores, workers] = [Number(asked.CORES), Number(asked.WORKERS)];
const method = methodNamed("diffusion2gan");
const spec: DenoiserSpec = {
  shape: [16, 16, 4],
  network: networkSettings.parse({ width: Number(asked.WIDTH), depth: 4 }),
  diffusion: diffusionSettings.parse({}),
  classes: Array.from({ length: 10 }, (_, index) => String(index)),
  vocabulary: 0,
};
const weights = initDenoiser(spec, 0);
const { signal } = new AbortController();

/** One of so many trainers whose batch is taken in so many micro-batches. */
const startOne = (options: { threads: number; accumulate: number; among?: Among }): Promise<Compute<TrainerApi>> => {
  const { threads, accumulate, among } = options;
  const settings = settingsSchema.parse({ train: { steps: 1e6, batch: 64, accumulate, diffusion2gan: { adversarialStart: 0 } } });
  const subject = { spec, plan: settings.simulate };
  const job = { settings: ownSettings(method, settings.train), optimiser: optimiserOf(settings.train), seed: 0, subject };
  return startWorker<TrainerApi>({
    ...{ name: "student trainer", remedy: "lower WIDTH", signal },
    module: new URL("../../stages/workers/trainer.ts", import.meta.url),
    options: {
      ...{ method: method.name, job, weights: { teacher: weights }, ...(among && { among }) },
      engine: { device: "cpu", precision: "single", threads },
    } satisfies TrainerOptions,
  });
};
const startMany = (): Promise<Compute<TrainerApi>> =>
  startTeam({
    ...{ workers, isExact: true, signal },
    start: (worker) => startOne({ threads: threadsOfEach(cores, workers), accumulate: workers, among: { worker, workers } }),
  });

/** Steps a second; what the first two compile is not counted. */
async function rateOf(start: () => Promise<Compute<TrainerApi>>): Promise<number> {
  const trainer = await start();
  const step = (at: number) => {
    const [noise, latent] = ["noise", "latent"].map((stream) => normals({ seed: 1, stream, length: 64 * 1024 }));
    const label = Int32Array.from({ length: 64 }, (_, row) => row % 10);
    return trainer.call("step", { step: at, noise, latent, conditions: { label } });
  };
  for (let at = 0; at < 2; at++) await step(at);
  const begin = performance.now();
  for (let at = 2; at < 2 + Number(asked.STEPS); at++) await step(at);
  const seconds = (performance.now() - begin) / 1000;
  await trainer.close();
  return Number(asked.STEPS) / seconds;
}

const inParts = `1 of ${cores} threads, ${workers} micro-batches`;
const kinds: Record<string, () => Promise<Compute<TrainerApi>>> = {
  [`1 of ${cores} threads`]: () => startOne({ threads: cores, accumulate: 1 }),
  [inParts]: () => startOne({ threads: cores, accumulate: workers }),
  [`${workers} of ${threadsOfEach(cores, workers)}`]: startMany,
};
for (let round = 0; round < Number(asked.ROUNDS); round++) {
  const rates: Record<string, number> = {};
  for (const [kind, start] of Object.entries(kinds)) rates[kind] = await rateOf(start);
  const gains = Object.entries(rates).map(([kind, rate]) => `${kind}: ${rate.toFixed(3)} steps/s (${(rate / rates[inParts]!).toFixed(2)})`);
  console.log(gains.join("; "));
  for (const [kind, rate] of Object.entries(rates)) record({ round: round + 1, workers: kind, "steps/s": rounded(rate) });
}

const numbers = Number(asked.NUMBERS);
const meeting = createMeeting({ size: numbers, parts: 1 });
const alone = joinMeeting(meeting, { worker: 0, workers: 1 });
const gradient = { w: { shape: [numbers], data: normals({ seed: 1, stream: "gradient", length: numbers }) } };
const held = new Float32Array(numbers);
for (let round = 0; round < Number(asked.ROUNDS); round++) {
  const begin = performance.now();
  await alone.add(0, gradient, []);
  const added = performance.now();
  await alone.take(gradient, 0, async ({ w }) => held.set(w!.data)); // as a set of variables takes it
  const perMillion = (from: number, to: number): number => (to - from) / (numbers / 1e6);
  const [add, take] = [perMillion(begin, added), perMillion(added, performance.now())];
  console.log(
    `a million numbers: added in ${add.toFixed(2)} ms, taken in ${take.toFixed(2)} ms; ${countWeights(weights)} are the student's`,
  );
  record({ round: round + 1, "added, ms": rounded(add), "taken, ms": rounded(take) });
}
