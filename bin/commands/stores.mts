/** Commands that make, mend and copy stores. */
import { badUsage } from "../../schemas/failure.ts";
import type { Command } from "../command.mts";
import {
  count,
  everything,
  guidance,
  images,
  lora,
  lorasOf,
  model,
  negative,
  orPipeline,
  out,
  prompts,
  repair,
  size,
  sizeIn,
  solver,
  steps,
  store,
  trajectory,
  workFlags,
  workOf,
} from "../flags.mts";

export const ingest: Command = {
  name: "ingest",
  summary: "turn images into a store of latents",
  positionals: [images],
  flags: {
    out: store(out("LATENTS", "folder of the latent store")),
    size: { value: "PIXELS", about: "side of the square images", sets: "images.size" },
    encoder: { value: "KIND", about: "what makes latents", sets: "encoder.kind" },
    ...workFlags,
  },
  parts: async () => ["encode"],
  example: "pipeline ingest photos.zip --size 32 --out latents",
  start: async ({ positionals, flags, ...rest }) =>
    (await import("../../pipelines/ingest.ts")).ingest({ images: positionals, out: flags.out!, work: await workOf(flags), ...rest }),
};

export const simulate: Command = {
  name: "simulate",
  summary: "solve the teacher's ODE into a store of (noise, latent, condition) triples",
  positionals: [],
  flags: {
    teacher: { value: "RUN", about: "run of `pretrain teacher`, or a published pipeline", required: true, input: orPipeline },
    lora,
    size,
    conditions: {
      value: "LATENTS",
      about: "store whose labels or captions to use; the teacher's own otherwise",
      input: "folder",
      bucket: "store",
    },
    out: store(out("STORE", "folder of the triple store")),
    prompts,
    negative,
    count,
    steps,
    solver,
    guidance,
    trajectory,
    workers: { value: "N", about: "samplers side by side; each has its part of the threads, or a card", sets: "simulate.workers" },
    ...workFlags,
  },
  inherits: { teacher: [...model, "pretrain"] }, // of pretrain: whether the teacher's conditions were ever dropped
  parts: async () => ["simulate"],
  example: "pipeline simulate --teacher teacher --out triples --count 20000 --steps 18 --guidance 1.5 --seed 1",
  start: async ({ flags, positionals: _, repeated, ...rest }) =>
    (await import("../../pipelines/simulate.ts")).simulate({
      teacher: flags.teacher!,
      loras: await lorasOf(repeated),
      size: await sizeIn(flags),
      conditions: flags.conditions,
      out: flags.out!,
      work: await workOf(flags),
      ...rest,
    }),
};

export const tokenize: Command = {
  name: "tokenize",
  summary: "turn latents into a store of tokens, which a prior learns from",
  positionals: [],
  flags: {
    data: { value: "LATENTS", about: "latent store of the images", required: true, input: "folder", bucket: "store" },
    tokenizer: { value: "RUN", about: "run of `pretrain tokenizer`", required: true, input: "folder" },
    out: store(out("TOKENS", "folder of the token store")),
    ...workFlags,
  },
  inherits: { data: ["seed", "images", "encoder"] },
  parts: async () => ["tokenize"],
  example: "pipeline tokenize --data latents --tokenizer tokenizer --out tokens",
  start: async ({ flags, positionals: _, ...rest }) =>
    (await import("../../pipelines/tokenize.ts")).tokenize({
      data: flags.data!,
      tokenizer: flags.tokenizer!,
      out: flags.out!,
      work: await workOf(flags),
      ...rest,
    }),
};

export const verify: Command = {
  name: "verify",
  summary: "check every byte of a store, and name what is damaged",
  positionals: [{ name: "STORE", about: "a store of latents, triples or tokens, finished or not", input: "folder", bucket: "store" }],
  flags: {
    repair: { about: "write journal, quarantine and summary anew where the shards are sound" },
    forget: { value: "READER", about: "only forget this training, which will not go on: simulation no longer waits for it" },
  },
  example: "pipeline verify triples",
  start: async ({ positionals, flags, context }) =>
    (await import("../../pipelines/verify.ts")).verify({
      path: positionals[0]!,
      repair: flags.repair !== undefined,
      forget: flags.forget,
      context,
    }),
};

export const merge: Command = {
  name: "merge",
  summary: "put the shards of stores made apart into one",
  positionals: [
    { name: "STORES", about: "stores of the same settings, each with some of the shards", many: true, input: "folder", bucket: "store" },
  ],
  flags: { out: store(out("STORE", "folder of the whole store")), repair: { about: "verify STORE first, and copy damaged shards again" } },
  example: "pipeline merge triples-a triples-b --out triples",
  start: async ({ positionals, flags, context }) =>
    (await import("../../pipelines/merge.ts")).merge({
      stores: positionals,
      out: flags.out!,
      repair: flags.repair !== undefined,
      context,
    }),
};

export const reprocess: Command = {
  name: "reprocess",
  summary: "make a store anew with other settings, redoing only what they change",
  positionals: [
    { name: "STORE", about: "the store to start from; it is only read", input: "folder", bucket: "store" },
    { name: "IMAGES", about: "of a latent store, where they must be encoded again", many: true, optional: true },
  ],
  flags: {
    to: store({ value: "NEW", about: "folder of the new store", required: true, output: "folder" }),
    teacher: { value: "RUN", about: "run of `pretrain teacher`, where rows must be simulated", input: orPipeline },
    conditions: { value: "LATENTS", about: "store that lends conditions to rows that are added", input: "folder", bucket: "store" },
    repair,
    "dry-run": { about: "only say what would be taken over, made, written, and how long it would take" },
    count,
    steps,
    solver,
    guidance,
    trajectory,
  },
  inherits: { STORE: everything },
  parts: async () => ["encode", "teacher", "simulate"],
  example: "pipeline reprocess triples --to halves --set simulate.dtype=float16",
  start: async ({ positionals, flags, ...rest }) =>
    (await import("../../pipelines/reprocess.ts")).reprocess({
      path: positionals[0]!,
      images: positionals.slice(1),
      to: flags.to!,
      teacher: flags.teacher,
      conditions: flags.conditions,
      repair: flags.repair !== undefined,
      dryRun: flags["dry-run"] !== undefined,
      ...rest,
    }),
};

/** Whether weights are rounded to halves. Throws a usage failure for a precision that is none. */
function isHalf({ half, precision = half === undefined ? "single" : "half" }: Record<string, string | undefined>): boolean {
  if (precision === "half" || (precision === "single" && half === undefined)) return precision === "half";
  const why = half === undefined ? "expected single or half" : "--half asks for the other";
  throw badUsage(`Cannot export with --precision ${precision}: ${why}`);
}

export const exportCommand: Command = {
  name: "export",
  summary: "write a store, student or teacher as files that other tools load",
  positionals: [
    { name: "PATH", about: "a finished store of latents, triples or tokens, or a run of `train`", input: "folder", bucket: "store" },
  ],
  flags: {
    format: {
      value: "FORMAT",
      about: "of the files",
      choices: async () => {
        const { exportFormats } = await import("../../stages/export/formats.ts");
        const { graphFormats, modelFormats } = await import("../../stages/export/model/formats.ts");
        return [...new Set([...exportFormats, ...modelFormats, ...graphFormats])];
      },
      required: true,
    },
    teacher: {
      value: "PIPELINE",
      about: "of a run: where its teacher is now, if not where it was; of a page what is drawn beside",
      input: orPipeline,
    },
    half: { about: "of a run: float16 weights, half as large" },
    precision: { value: "NAME", about: "of a run: `half` is --half", choices: async () => ["single", "half"] },
    licence: { value: "TEXT", about: "of a run as onnx or web: the licence of its weights, for onestep.json, README.md and the page" },
    out: out("FOLDER", "where the files go; the same command goes on after a stop"),
  },
  example: "pipeline export student --format diffusers --out student-diffusers",
  start: async ({ positionals, flags, settings, context }) =>
    (await import("../../pipelines/export.ts")).exportPath({
      path: positionals[0]!,
      format: flags.format!,
      out: flags.out!,
      teacher: flags.teacher,
      half: isHalf(flags),
      licence: flags.licence,
      ...{ settings, context },
    }),
};
