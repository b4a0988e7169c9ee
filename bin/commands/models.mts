/** Commands that draw with a model, measure it, and add models up. */
import type { Command, Flag } from "../command.mts";
import { everything, lora, lorasOf, model, negative, orPipeline, out, prompts, size, sizeIn } from "../flags.mts";

const prior: Flag = { value: "RUN", about: "run of `pretrain prior` that makes the tokens a student by layton draws", input: "folder" };

export const sample: Command = {
  name: "sample",
  summary: "draw pictures with one network call each, or a few",
  positionals: [],
  flags: {
    model: {
      value: "RUN",
      about: "run of `train`, `run` or `pretrain teacher`, or a published pipeline",
      required: true,
      input: orPipeline,
    },
    lora,
    size,
    count: { value: "N", about: "pictures; 64 unless told", whole: true, most: 65_536 },
    steps: { value: "K", about: "network calls of a student made for several, solver steps of a teacher", whole: true, most: 1000 },
    prior,
    prompt: { value: "TEXT", about: "the caption of all pictures" },
    prompts: { ...prompts, about: "captions to draw in turn, a file as of `simulate`" },
    negative,
    out: out("GRID.png", "the picture grid", { file: [".png"] }),
  },
  inherits: { model },
  example: "pipeline sample --model student --count 64 --out grid.png --seed 7",
  start: async ({ flags, positionals: _, repeated, ...rest }) =>
    (await import("../../pipelines/sample.ts")).sample({
      model: flags.model!,
      loras: await lorasOf(repeated),
      size: await sizeIn(flags),
      count: Number(flags.count ?? 64),
      steps: flags.steps === undefined ? undefined : Number(flags.steps),
      prior: flags.prior,
      prompt: flags.prompt,
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
    prior,
    teacher: { value: "RUN", about: "measure this teacher too, on the same noise and conditions", input: "folder" },
    reference: { value: "PATH", about: "latent store, zip or folder to compare with", required: true, bucket: "store" },
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
      prior: flags.prior,
      teacher: flags.teacher,
      reference: flags.reference!,
      out: flags.out,
      curve: flags.curve,
      steps: flags.steps,
      neighbours: flags.neighbours,
      ...rest,
    }),
};

export const reconstruct: Command = {
  name: "reconstruct",
  summary: "draw images again from their own tokens: the tokenizer's decoder beside a student by layton",
  positionals: [],
  flags: {
    model: { value: "RUN", about: "a student by layton; its tokenizer stands in the same folder", required: true, input: "folder" },
    reference: { value: "LATENTS", about: "latent store whose images are drawn again", required: true, input: "folder", bucket: "store" },
    count: { value: "N", about: "images, or all where there are fewer", sets: "evaluate.count" },
    seeds: { value: "N", about: "repetitions with other noise, for mean and spread", sets: "evaluate.seeds" },
    steps: { value: "1,2", about: "numbers of network calls; the fewest and the student's own unless told" },
    out: { value: "FILE.json", about: "write all figures, by seed, with what they depend on", output: { file: [".json"] } },
    grid: { value: "FILE.png", about: "16 images, below each what is drawn of it", output: { file: [".png"] } },
  },
  inherits: { model },
  parts: async () => ["evaluate"],
  example: "pipeline reconstruct --model student --reference latents --steps 1,2 --grid again.png --out again.json",
  start: async ({ flags, positionals: _, ...rest }) =>
    (await import("../../pipelines/reconstruct.ts")).reconstruct({
      model: flags.model!,
      reference: flags.reference!,
      steps: flags.steps,
      out: flags.out,
      grid: flags.grid,
      ...rest,
    }),
};

export const mergeLora: Command = {
  name: "merge-lora",
  summary: "add LoRAs to the network they were trained over, each with a scale, into a run of its own",
  positionals: [{ name: "LORAS", about: "runs that trained a LoRA, or their lora.safetensors", many: true }],
  flags: {
    base: { value: "RUN", about: "the run they were trained from", required: true, input: "folder" },
    scales: { value: "1,-0.5", about: "how much of each; 1 unless told, negative ones take away" },
    out: out("RUN", "folder of the new run"),
  },
  inherits: { base: everything },
  example: "pipeline merge-lora sharp coloured --base teacher --scales 0.7,0.5 --out both",
  start: async ({ positionals, flags, settings, context }) =>
    (await import("../../pipelines/merge-lora.ts")).mergeLora({
      base: flags.base!,
      loras: positionals,
      scales: flags.scales,
      out: flags.out!,
      settings,
      context,
    }),
};

export const mergeWeights: Command = {
  name: "merge-weights",
  summary: "add what a training changed to another network of its layout: base + C (add - minus)",
  positionals: [],
  flags: {
    base: { value: "RUN", about: "the run to change; latents, codec and captions stay its own", required: true, input: "folder" },
    add: { value: "RUN", about: "the run that has learned something", required: true, input: "folder" },
    minus: { value: "RUN", about: "the run that it was trained from", required: true, input: "folder" },
    scale: { value: "C", about: "how much of what was learned; 1 unless told" },
    keep: { value: "PATTERN", about: "parameters that stay the base's, of any shape: '^position$' for a DiT of another size" },
    out: out("RUN", "folder of the new run"),
  },
  inherits: { base: everything },
  example: "pipeline merge-weights --base teacher-64 --add student-32 --minus teacher-32 --keep '^position$' --out student-64",
  start: async ({ flags, positionals: _, settings, context }) =>
    (await import("../../pipelines/merge-weights.ts")).mergeWeights({
      base: flags.base!,
      add: flags.add!,
      minus: flags.minus!,
      scale: flags.scale,
      keep: flags.keep,
      out: flags.out!,
      settings,
      context,
    }),
};
