/**
 * What running simulation and training side by side costs: rows a second of the sampler alone and steps a second of the
 * student's training alone, each with every core, then both at once with the cores divided as `run` divides them. Prints
 * the efficiency, the sum over both of (rate together / rate alone): 1 is as much work per second as one alone.
 * DURATION (20 s) of each measurement, ROUNDS (3, alternating), CORES (all), DEVICE (cpu), WIDTH (128) and DEPTH (4) of the network and
 * BATCH (64) come from the environment; `--out FILE.json`.
 */
import { availableParallelism } from "node:os";
import { type Compute, startCompute } from "../../engine/compute.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { type DenoiserSpec, initDenoiser } from "../../models/denoiser.ts";
import { diffusionSettings, networkSettings } from "../../schemas/settings.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import type { Sampler } from "../../stages/workers/sampler.ts";
import { methodNamed, optimiserOf, ownSettings } from "../../methods/registry.ts";
import type { TrainerApi, TrainerOptions } from "../../stages/workers/trainer.ts";
import { divideThreads } from "../../stages/workers/threads.ts";
import { openBench, rounded } from "./record.ts";

const {
  settings: { DURATION, ROUNDS, CORES, DEVICE, WIDTH, DEPTH, BATCH },
  record,
} = openBench({
  ...{ DURATION: "20", ROUNDS: "3", CORES: String(availableParallelism()) },
  ...{ DEVICE: "cpu", WIDTH: "128", DEPTH: "4", BATCH: "64" },
});
const device = DEVICE as "cpu" | "webgpu" | "cuda";
const cores = Number(CORES);
const settings = settingsSchema.parse({
  engine: { threads: cores },
  train: { steps: 1e6, batch: Number(BATCH), diffusion2gan: { adversarialStart: 0 } },
  simulate: { batch: Number(BATCH) },
});
const spec: DenoiserSpec = {
  shape: [16, 16, 4],
  network: networkSettings.parse({ width: Number(WIDTH), depth: Number(DEPTH) }),
  diffusion: diffusionSettings.parse({}),
  classes: Array.from({ length: 10 }, (_, index) => String(index)),
  vocabulary: 0,
};
const weights = initDenoiser(spec, 0);
const { batch } = settings.train;
const noise = normals({ seed: 1, stream: "noise", length: batch * 1024 });
const latent = normals({ seed: 1, stream: "latent", length: batch * 1024 });
const label = Int32Array.from({ length: batch }, (_, row) => row % 10);

const startSampler = (threads: number) =>
  startCompute<Sampler>({
    name: "teacher sampler",
    module: new URL("../../stages/workers/sampler.ts", import.meta.url),
    options: { spec, weights, plan: settings.simulate, batch, engine: { device, threads } },
  });
const method = methodNamed("diffusion2gan");
const startTrainer = (threads: number) =>
  startCompute<TrainerApi>({
    name: "student trainer",
    module: new URL("../../stages/workers/trainer.ts", import.meta.url),
    options: {
      method: method.name,
      job: {
        ...{ settings: ownSettings(method, settings.train), optimiser: optimiserOf(settings.train), seed: 0 },
        subject: { spec, plan: settings.simulate },
      },
      weights: { teacher: weights },
      engine: { device, precision: "single", threads },
    } satisfies TrainerOptions,
  });

const sampling = (sampler: Compute<Sampler>) => () => sampler.call("sample", { noise, rows: batch, conditions: { label } });
const training = (trainer: Compute<TrainerApi>) => {
  let step = 0;
  return () => trainer.call("step", { step: step++, noise, latent, conditions: { label } });
};

/** Calls a second of each, all at once, over the same stretch of time; a call under way at its end counts in part. */
async function rates(...jobs: (() => Promise<unknown>)[]): Promise<number[]> {
  await Promise.all(jobs.map((job) => job())); // what the first call compiles is not counted
  const begin = performance.now();
  const end = begin + Number(DURATION) * 1000;
  return Promise.all(
    jobs.map(async (job) => {
      let calls = 0;
      for (;;) {
        const began = performance.now();
        await job();
        const now = performance.now();
        if (now >= end) return (calls + (end - began) / (now - began)) / Number(DURATION);
        calls++;
      }
    }),
  );
}

/** The rate of a job alone, whose worker is then closed. */
async function alone(worker: { close: () => Promise<void> }, job: () => Promise<unknown>): Promise<number> {
  const [rate] = await rates(job);
  await worker.close();
  return rate as number;
}

const division = divideThreads(settings, { encodes: false });
const shares = [division.simulate, division.train()] as const;
console.log(`${cores} cores: simulation alone ${cores} threads, training alone ${cores}, together ${shares.join(" and ")}`);
const efficiencies: number[] = [];
for (let round = 0; round < Number(ROUNDS); round++) {
  const soleSampler = await startSampler(cores);
  const simulate = await alone(soleSampler, sampling(soleSampler));
  const soleTrainer = await startTrainer(cores);
  const train = await alone(soleTrainer, training(soleTrainer));
  const [sampler, trainer] = await Promise.all([startSampler(shares[0]), startTrainer(shares[1])]);
  const [simulated, trained] = (await rates(sampling(sampler), training(trainer))) as [number, number];
  await Promise.all([sampler.close(), trainer.close()]);
  const efficiency = simulated / simulate + trained / train;
  efficiencies.push(efficiency);
  record({
    round: round + 1,
    "triples/s alone": rounded(batch * simulate),
    "steps/s alone": rounded(train),
    "triples/s together": rounded(batch * simulated),
    "steps/s together": rounded(trained),
    efficiency: rounded(efficiency, 3),
  });
  console.log(
    `alone ${(batch * simulate).toFixed(1)} triples/s, ${train.toFixed(3)} steps/s; together ${(batch * simulated).toFixed(1)} and ` +
      `${trained.toFixed(3)}: ${(simulated / simulate).toFixed(3)} + ${(trained / train).toFixed(3)} = ${efficiency.toFixed(3)}`,
  );
}
console.log(`efficiency, median of ${efficiencies.length}: ${efficiencies.sort((a, b) => a - b)[efficiencies.length >> 1]?.toFixed(3)}`);
