/** Commands that draw with a model and measure it. */
import type { Command } from "../command.mts";
import { model, out } from "../flags.mts";

export const sample: Command = {
  name: "sample",
  summary: "draw pictures with one network call each, or a few",
  positionals: [],
  flags: {
    model: { value: "RUN", about: "run of `train`, `run` or `pretrain teacher`", required: true, input: "folder" },
    count: { value: "N", about: "pictures; 64 unless told", whole: true, most: 65_536 },
    steps: { value: "K", about: "network calls of a student made for several, solver steps of a teacher", whole: true, most: 1000 },
    out: out("GRID.png", "the picture grid", { file: [".png"] }),
  },
  inherits: { model },
  example: "pipeline sample --model student --count 64 --out grid.png --seed 7",
  start: async ({ flags, positionals: _, ...rest }) =>
    (await import("../../pipelines/sample.ts")).sample({
      model: flags.model!,
      count: Number(flags.count ?? 64),
      steps: flags.steps === undefined ? undefined : Number(flags.steps),
      out: flags.out!,
      ...rest,
    }),
};

export const evaluate: Command = {
  name: "evaluate",
  summary: "measure a model: Fréchet distance, precision, recall, spectrum, speed",
  positionals: [],
  flags: {
    model: { value: "RUN", about: "the run to measure", required: true, input: "folder" },
    teacher: { value: "RUN", about: "measure this teacher too, on the same noise and conditions", input: "folder" },
    reference: { value: "PATH", about: "latent store, zip or folder to compare with", required: true },
    count: { value: "N", about: "samples of each model, compared with the whole reference", sets: "evaluate.count" },
    seeds: { value: "N", about: "repetitions with other samples, for mean and spread; 3 for results", sets: "evaluate.seeds" },
    steps: { value: "1,2,4,8", about: "measure the model at each of these numbers of network calls; solver steps of a teacher" },
    out: {
      value: "FILE.json",
      about: "write all figures, by seed, with the settings and hashes they depend on",
      output: { file: [".json"] },
    },
    curve: {
      value: "2,4,8,16,35",
      about: "the teacher's distance against these numbers of evaluations, and the student's; an SVG beside --out",
    },
    neighbours: { value: "FILE.png", about: "draw 32 samples, below each its nearest images of the reference", output: { file: [".png"] } },
  },
  inherits: { model },
  parts: async () => ["evaluate"],
  example: "pipeline evaluate --model student --teacher teacher --reference latents --count 10000 --seeds 3 --out results.json",
  start: async ({ flags, positionals: _, ...rest }) =>
    (await import("../../pipelines/evaluate.ts")).evaluate({
      model: flags.model!,
      teacher: flags.teacher,
      reference: flags.reference!,
      out: flags.out,
      curve: flags.curve,
      steps: flags.steps,
      neighbours: flags.neighbours,
      ...rest,
    }),
};
