/** Commands that train. */
import { badUsage } from "../../schemas/failure.ts";
import type { What } from "../../stages/train/prepare/pretraining.ts";
import type { Command } from "../command.mts";
import {
  count,
  images,
  lora,
  lorasOf,
  method,
  model,
  negative,
  orPipeline,
  out,
  prompts,
  size,
  sizeIn,
  store,
  trajectory,
  workers,
} from "../flags.mts";

export const pretrain: Command = {
  name: "pretrain",
  summary: "train a teacher, autoencoder, perceptual network, image tokenizer or prior",
  positionals: [
    { name: "WHAT", about: "what to train", choices: ["teacher", "autoencoder", "perceptual", "tokenizer", "prior"] satisfies What[] },
  ],
  flags: {
    data: {
      value: "LATENTS",
      about: "latent store; of pixels for the autoencoder, of tokens for the prior",
      required: true,
      input: "folder",
      bucket: "store",
    },
    out: store(out("RUN", "folder of the run")),
  },
  inherits: { data: ["images", "encoder"] },
  parts: async ({ positionals }) => [positionals[0] as What],
  example: "pipeline pretrain teacher --data latents --out teacher --set pretrain.teacher.steps=4000",
  start: async ({ positionals, flags, ...rest }) =>
    (await import("../../pipelines/pretrain.ts")).pretrain({
      what: positionals[0] as What,
      data: flags.data!,
      out: flags.out!,
      ...rest,
    }),
};

export const train: Command = {
  name: "train",
  summary: "train a student of one network call, or a few, also while its triples are still being written",
  positionals: [],
  flags: {
    store: { value: "STORE", about: "store of `simulate`, for methods that need triples", input: "folder", bucket: "store" },
    teacher: { value: "RUN", about: "run of `pretrain teacher`, or a published pipeline", required: true, input: orPipeline },
    lora,
    size,
    out: store(out("RUN", "folder of the run")),
    method,
    prompts,
    negative,
    steps: { value: "N", about: "training steps", sets: "train.steps" },
    batch: { value: "N", about: "triples a step", sets: "train.batch" },
    workers,
    repair: { about: "verify the stores that the method itself simulates, and make damaged shards again" },
  },
  inherits: { teacher: model },
  parts: async () => ["train"],
  example: "pipeline train --store triples --teacher teacher --out student --steps 8000",
  start: async ({ flags, positionals: _, repeated, ...rest }) =>
    (await import("../../pipelines/train.ts")).train({
      store: flags.store,
      teacher: flags.teacher!,
      loras: await lorasOf(repeated),
      size: await sizeIn(flags),
      out: flags.out!,
      repair: flags.repair !== undefined,
      ...rest,
    }),
};

export const run: Command = {
  name: "run",
  summary: "the whole job, overlapped: ingest, simulate and train; the built-in demo without IMAGES",
  positionals: [{ ...images, optional: true }],
  flags: {
    out: { value: "RUN", about: "folder of the run; data/runs/demo without IMAGES", output: "folder", bucket: "store" },
    teacher: { value: "RUN", about: "run of `pretrain teacher`; trained on IMAGES otherwise", input: orPipeline },
    method,
    count,
    trajectory,
    workers,
    repair: { about: "verify the stores of the run first, and make damaged shards again, one stage after the other" },
  },
  inherits: { teacher: model },
  parts: async ({ positionals, flags, settings }) => {
    const { partsOfRun } = await import("../../recipes/parts.ts");
    return partsOfRun(settings, { hasTeacher: flags.teacher !== undefined || positionals.length === 0 });
  },
  example: "pipeline run photos.zip --preset tiny --out runs/photos",
  start: async ({ positionals, flags, ...rest }) =>
    (await import("../../pipelines/run.ts")).run({
      images: positionals,
      out: flags.out,
      teacher: flags.teacher,
      repair: flags.repair !== undefined,
      ...rest,
    }),
};

export const study: Command = {
  name: "study",
  summary: "train variants of the method with several seeds, and compare them in one table",
  positionals: [
    {
      name: "NAME",
      about: "which question; methods: all of them by their recipes; frequency: which bands noise levels and layers serve",
      names: async () => [...(await import("../../stages/study/plan.ts")).allStudies.map(({ name }) => name), "frequency"],
    },
  ],
  flags: {
    store: { value: "STORE", about: "store of `simulate`; all but frequency need it", input: "folder", bucket: "store" },
    teacher: { value: "RUN", about: "run of `pretrain teacher`", required: true, input: "folder" },
    student: { value: "RUN", about: "run of `train`, for frequency", input: "folder" },
    reference: {
      value: "LATENTS",
      about: "latent store, zip or folder of the real images to compare with",
      required: true,
      bucket: "store",
    },
    out: { ...out("FOLDER", "folder of the study; the same command goes on after a stop"), bucket: "store" },
    seeds: { value: "N", about: "trainings of each variant; 3 unless told", whole: true },
    only: { value: "A,B", about: "these of its variants" },
    steps: { value: "N", about: "training steps of a run, over all its phases", sets: "train.steps" },
    count: { value: "N", about: "samples measured of each student", sets: "evaluate.count" },
  },
  inherits: { teacher: model },
  parts: async () => ["train", "evaluate"],
  example: "pipeline study regression --store triples --teacher teacher --reference latents --out studies/regression",
  start: async ({ positionals, flags, ...rest }) => {
    const common = { teacher: flags.teacher!, reference: flags.reference!, out: flags.out!, ...rest };
    if (positionals[0] === "frequency") {
      return (await import("../../pipelines/study-frequency.ts")).studyFrequency({ ...common, student: flags.student });
    }
    return (await import("../../pipelines/study.ts")).study({
      name: positionals[0]!,
      store: needed(flags.store, "store"),
      seeds: Number(flags.seeds ?? 3),
      only: flags.only?.split(","),
      ...common,
    });
  },
};

/** A flag that only some studies need. */
function needed(value: string | undefined, name: "store"): string {
  if (value !== undefined) return value;
  throw badUsage(`Missing --${name} ${study.flags[name]!.value} of study: expected, for example, ${study.example}`);
}

export const methods: Command = {
  name: "methods",
  summary: "list the methods, or show one whole: its paper, what it needs, its settings",
  positionals: [
    {
      name: "NAME",
      about: "show this one",
      optional: true,
      names: async () => (await import("../../methods/registry.ts")).methods.map(({ name }) => name),
    },
  ],
  flags: {},
  looks: true,
  example: "pipeline methods diffusion2gan",
  start: async ({ positionals: [name], settings, context }) => {
    const { listMethods, showMethod } = await import("../../pipelines/methods.ts");
    return name === undefined ? listMethods({ settings, context }) : showMethod({ name, settings, context });
  },
};
