/** Every command as data: parsing, `--help`, suggestions and dispatch all come from this table. */
import type { Context } from "../schemas/events.ts";
import { badUsage } from "../schemas/failure.ts";
import type { Settings } from "../schemas/settings.ts";
import { studies } from "../stages/study/studies.ts";

export interface Flag {
  value?: string; // what stands for the value in the help; a flag without one is a switch
  about: string;
  sets?: string; // the settings path this flag is short for
  whole?: boolean; // the value is a whole number above 0
  required?: boolean;
  many?: boolean;
}

export interface Positional {
  name: string;
  about: string;
  choices?: readonly string[];
  many?: boolean;
  optional?: boolean;
}

/** What a command's line gave: single flags by name, and the settings that resulted. */
export interface Input {
  command: string; // the line itself, for files that say how they were made
  positionals: string[];
  flags: Record<string, string | undefined>;
  settings: Settings;
  context: Context;
}

export interface Command {
  name: string;
  summary: string;
  positionals: readonly Positional[];
  flags: Readonly<Record<string, Flag>>;
  /** Flags or positionals that name a folder whose recorded settings.yaml decides these groups, below --config and --set. */
  inherits?: Readonly<Record<string, readonly (keyof Settings)[]>>;
  example: string;
  start: (input: Input) => Promise<unknown>;
}

export const commonFlags: Readonly<Record<string, Flag>> = {
  preset: { value: "NAME", about: "start from a built-in set of settings: demo, tiny, small, base, smoke" },
  config: { value: "FILE.yaml", about: "settings from a file, over the preset" },
  set: { value: "PATH=VALUE", about: "one setting, over everything else, as in train.batch=32", many: true },
  seed: { value: "S", about: "of everything random", sets: "seed" },
  device: { value: "NAME", about: "auto, cpu, webgpu, cuda or tensorflow", sets: "engine.device" },
  threads: { value: "N", about: "of the engine, or of all in `run`; 0 is one for each core", sets: "engine.threads" },
  json: { about: "print one JSON event a line instead of bars and words" },
  quiet: { about: "print results and warnings only" },
  help: { about: "print this" },
};

const images: Positional = { name: "IMAGES", about: "zip files or folders of images", many: true };
const out = (value: string, about: string): Flag => ({ value, about, required: true });
const size: Flag = { value: "PIXELS", about: "side of the square images", sets: "images.size" };
const count: Flag = { value: "N", about: "triples to make", sets: "simulate.count" };
const steps: Flag = { value: "K", about: "solver steps a triple", sets: "simulate.steps" };
const guidance: Flag = { value: "G", about: "classifier-free guidance scale; 1 is none", sets: "simulate.guidance" };
const solver: Flag = { value: "NAME", about: "euler, heun, ddim or dpm++2m", sets: "simulate.solver" };
const model = ["images", "encoder", "network", "diffusion"] as const;
const everything = [...model, "seed", "pretrain", "simulate", "train", "evaluate", "engine"] as const;
const distilling: Flag = { value: "NAME", about: "how to distil: see `pipeline methods`; diffusion2gan unless told" };
const workFlags: Readonly<Record<string, Flag>> = {
  part: { value: "I/N", about: "make only every N-th shard, from the I-th on: processes share the work" },
  shards: { value: "A-B", about: "make only these shards" },
  repair: { about: "verify the store first, and make damaged shards again" },
  retry: { about: "try the rows that failed in finished shards again" },
};

function workOf({ part, shards, repair, retry }: Input["flags"]) {
  return { part, shards, repair: repair !== undefined, retry: retry !== undefined };
}

export const commands: readonly Command[] = [
  {
    name: "ingest",
    summary: "turn images into a store of latents",
    positionals: [images],
    flags: {
      out: out("LATENTS", "folder of the latent store"),
      size,
      encoder: { value: "KIND", about: "pixel, autoencoder or taesd", sets: "encoder.kind" },
      ...workFlags,
    },
    example: "pipeline ingest photos.zip --size 32 --out latents",
    start: async ({ positionals, flags, ...rest }) =>
      (await import("../pipelines/ingest.ts")).ingest({ images: positionals, out: flags.out!, work: workOf(flags), ...rest }),
  },
  {
    name: "pretrain",
    summary: "train a teacher, an autoencoder or a perceptual network",
    positionals: [{ name: "WHAT", about: "what to train", choices: ["teacher", "autoencoder", "perceptual"] }],
    flags: {
      data: { value: "LATENTS", about: "latent store, or images for the autoencoder", required: true },
      out: out("RUN", "folder of the run"),
    },
    inherits: { data: ["images", "encoder"] },
    example: "pipeline pretrain teacher --data latents --out teacher --set pretrain.teacher.steps=4000",
    start: async ({ positionals, flags, ...rest }) =>
      (await import("../pipelines/pretrain.ts")).pretrain({
        what: positionals[0] as "teacher" | "autoencoder" | "perceptual",
        data: flags.data!,
        out: flags.out!,
        ...rest,
      }),
  },
  {
    name: "simulate",
    summary: "solve the teacher's ODE into a store of (noise, latent, condition) triples",
    positionals: [],
    flags: {
      teacher: { value: "RUN", about: "run of `pretrain teacher`", required: true },
      conditions: { value: "LATENTS", about: "store whose labels or captions to use; the teacher's own otherwise" },
      out: out("STORE", "folder of the triple store"),
      count,
      steps,
      solver,
      guidance,
      ...workFlags,
    },
    inherits: { teacher: model },
    example: "pipeline simulate --teacher teacher --out triples --count 20000 --steps 18 --guidance 1.5 --seed 1",
    start: async ({ flags, positionals: _, ...rest }) =>
      (await import("../pipelines/simulate.ts")).simulate({
        teacher: flags.teacher!,
        conditions: flags.conditions,
        out: flags.out!,
        work: workOf(flags),
        ...rest,
      }),
  },
  {
    name: "verify",
    summary: "check every byte of a store, and name what is damaged",
    positionals: [{ name: "STORE", about: "a latent or triple store, finished or not" }],
    flags: { repair: { about: "write journal, quarantine and summary anew where the shards are sound" } },
    example: "pipeline verify triples",
    start: async ({ positionals, flags, context }) =>
      (await import("../pipelines/verify.ts")).verify({
        path: positionals[0]!,
        repair: flags.repair !== undefined,
        context,
      }),
  },
  {
    name: "merge",
    summary: "put the shards of stores made apart into one",
    positionals: [{ name: "STORES", about: "stores of the same settings, each with some of the shards", many: true }],
    flags: { out: out("STORE", "folder of the whole store") },
    example: "pipeline merge triples-a triples-b --out triples",
    start: async ({ positionals, flags, context }) =>
      (await import("../pipelines/merge.ts")).merge({ stores: positionals, out: flags.out!, context }),
  },
  {
    name: "reprocess",
    summary: "make a store anew with other settings, redoing only what they change",
    positionals: [
      { name: "STORE", about: "the store to start from; it is only read" },
      { name: "IMAGES", about: "of a latent store, where they must be encoded again", many: true, optional: true },
    ],
    flags: {
      to: { value: "NEW", about: "folder of the new store", required: true },
      teacher: { value: "RUN", about: "run of `pretrain teacher`, where rows must be simulated" },
      conditions: { value: "LATENTS", about: "store that lends conditions to rows that are added" },
      "dry-run": { about: "only say what would be taken over, made, written, and how long it would take" },
      count,
      steps,
      solver,
      guidance,
    },
    inherits: { STORE: everything },
    example: "pipeline reprocess triples --to halves --set simulate.dtype=float16",
    start: async ({ positionals, flags, ...rest }) =>
      (await import("../pipelines/reprocess.ts")).reprocess({
        path: positionals[0]!,
        images: positionals.slice(1),
        to: flags.to!,
        teacher: flags.teacher,
        conditions: flags.conditions,
        dryRun: flags["dry-run"] !== undefined,
        ...rest,
      }),
  },
  {
    name: "train",
    summary: "train a one-step student on triples, also while they are still being written",
    positionals: [],
    flags: {
      store: { value: "STORE", about: "store of `simulate`, for methods that need triples" },
      teacher: { value: "RUN", about: "run of `pretrain teacher`", required: true },
      out: out("RUN", "folder of the run"),
      method: distilling,
      steps: { value: "N", about: "training steps", sets: "train.steps" },
      batch: { value: "N", about: "triples a step", sets: "train.batch" },
    },
    inherits: { teacher: model },
    example: "pipeline train --store triples --teacher teacher --out student --steps 8000",
    start: async ({ flags, positionals: _, ...rest }) =>
      (await import("../pipelines/train.ts")).train({
        store: flags.store,
        teacher: flags.teacher!,
        out: flags.out!,
        ...rest,
      }),
  },
  {
    name: "run",
    summary: "the whole job, overlapped: ingest, simulate and train; the built-in demo without IMAGES",
    positionals: [{ ...images, optional: true }],
    flags: {
      out: { value: "RUN", about: "folder of the run; data/runs/demo without IMAGES" },
      teacher: { value: "RUN", about: "run of `pretrain teacher`; trained on IMAGES otherwise" },
      method: distilling,
      count,
    },
    inherits: { teacher: model },
    example: "pipeline run photos.zip --preset tiny --out runs/photos",
    start: async ({ positionals, flags, ...rest }) =>
      (await import("../pipelines/run.ts")).run({
        images: positionals,
        out: flags.out,
        teacher: flags.teacher,
        ...rest,
      }),
  },
  {
    name: "study",
    summary: "train variants of the method with several seeds, and compare them in one table",
    positionals: [{ name: "NAME", about: "which question", choices: studies.map(({ name }) => name) }],
    flags: {
      store: { value: "STORE", about: "store of `simulate`", required: true },
      teacher: { value: "RUN", about: "run of `pretrain teacher`", required: true },
      reference: { value: "LATENTS", about: "latent store, zip or folder of the real images to compare with", required: true },
      out: out("FOLDER", "folder of the study; the same command goes on after a stop"),
      seeds: { value: "N", about: "trainings of each variant; 3 unless told", whole: true },
      only: { value: "A,B", about: "these of its variants" },
      steps: { value: "N", about: "training steps of a run", sets: "train.steps" },
      count: { value: "N", about: "samples measured of each student", sets: "evaluate.count" },
    },
    inherits: { teacher: model },
    example: "pipeline study regression --store triples --teacher teacher --reference latents --out studies/regression",
    start: async ({ positionals, flags, ...rest }) =>
      (await import("../pipelines/study.ts")).study({
        name: positionals[0]!,
        store: flags.store!,
        teacher: flags.teacher!,
        reference: flags.reference!,
        out: flags.out!,
        seeds: Number(flags.seeds ?? 3),
        only: flags.only?.split(","),
        ...rest,
      }),
  },
  {
    name: "sample",
    summary: "draw pictures with one network call each",
    positionals: [],
    flags: {
      model: { value: "RUN", about: "run of `train`, `run` or `pretrain teacher`", required: true },
      count: { value: "N", about: "pictures; 64 unless told", whole: true },
      out: out("GRID.png", "the picture grid"),
    },
    inherits: { model },
    example: "pipeline sample --model student --count 64 --out grid.png --seed 7",
    start: async ({ flags, positionals: _, ...rest }) =>
      (await import("../pipelines/sample.ts")).sample({
        model: flags.model!,
        count: Number(flags.count ?? 64),
        out: flags.out!,
        ...rest,
      }),
  },
  {
    name: "evaluate",
    summary: "measure a model: Fréchet distance, precision, recall, spectrum, speed",
    positionals: [],
    flags: {
      model: { value: "RUN", about: "the run to measure", required: true },
      teacher: { value: "RUN", about: "measure this teacher too, on the same noise and conditions" },
      reference: { value: "PATH", about: "latent store, zip or folder to compare with", required: true },
      count: { value: "N", about: "samples of each model, compared with the whole reference", sets: "evaluate.count" },
      seeds: { value: "N", about: "repetitions with other samples, for mean and spread; 3 for results", sets: "evaluate.seeds" },
      out: { value: "FILE.json", about: "write all figures, by seed, with the settings and hashes they depend on" },
      curve: { value: "2,4,8,16,35", about: "the teacher's distance against these numbers of evaluations; an SVG beside --out" },
      neighbours: { value: "FILE.png", about: "draw 32 samples, below each its nearest images of the reference" },
    },
    inherits: { model },
    example: "pipeline evaluate --model student --teacher teacher --reference latents --count 10000 --seeds 3 --out results.json",
    start: async ({ flags, positionals: _, ...rest }) =>
      (await import("../pipelines/evaluate.ts")).evaluate({
        model: flags.model!,
        teacher: flags.teacher,
        reference: flags.reference!,
        out: flags.out,
        curve: flags.curve,
        neighbours: flags.neighbours,
        ...rest,
      }),
  },
  {
    name: "inspect",
    summary: "show what a store or run holds: facts, rows, pictures, SQL, provenance, differences, a report",
    positionals: [{ name: "PATH", about: "a latent store, triple store or run" }],
    flags: {
      quick: { about: "read the ends of the shards alone: no duplicates, no worst rows" },
      rows: { value: "N", about: "print the first N rows", whole: true },
      grid: { value: "FILE.png", about: "draw rows: of a triple the noise beside the image" },
      where: { value: "CONDITION", about: "the rows to print, draw or report, as in \"label = 3 and caption like '%cat%'\"" },
      limit: { value: "N", about: "pictures in the grid or report; 64 or 200 unless told", whole: true },
      sql: { value: "SELECT", about: "ask DuckDB (npm install @duckdb/node-api); the rows are the view triples or latents" },
      why: { value: "ID", about: "what made this row: image, condition, teacher, solver, seed, versions" },
      redo: { value: "ID", about: "compute this triple again and print the largest difference" },
      teacher: { value: "RUN", about: "why, redo: the teacher; looked for beside the store otherwise" },
      conditions: { value: "LATENTS", about: "why: the store that lent the conditions; looked for beside the store otherwise" },
      diff: { value: "STORE", about: "compare settings, rows and channels with another store" },
      html: { value: "FILE.html", about: "write a report as one page that needs nothing else" },
      serve: { about: "serve the report to this machine; rows are decoded when looked at" },
      port: { value: "N", about: "serve: the port; any free one unless told", whole: true },
    },
    example: "pipeline inspect triples --grid triples.png --where label=3 --limit 16",
    start: async ({ positionals, flags, ...rest }) => {
      const { rowId, inspect } = await import("../pipelines/inspect.ts");
      const { quick, rows, grid, where, limit, sql, why, redo, teacher, conditions, diff, html, serve, port } = flags;
      const whole = (text?: string) => (text === undefined ? undefined : Number(text));
      if (port !== undefined && serve === undefined) throw badUsage("Cannot use --port alone: it is that of --serve, so add it");
      return inspect({
        path: positionals[0]!,
        ...{ quick: quick !== undefined, rows: whole(rows), limit: whole(limit), why: rowId(why), redo: rowId(redo) },
        ...{ grid, where, sql, teacher, conditions, diff, html, serve: serve === undefined ? undefined : Number(port ?? 0) },
        ...rest,
      });
    },
  },
  {
    name: "export",
    summary: "write a store as files that other tools load",
    positionals: [{ name: "STORE", about: "a finished latent or triple store" }],
    flags: {
      format: { value: "FORMAT", about: "arrow, npy, safetensors, webdataset or parquet-list", required: true },
      out: out("FOLDER", "where the files go; the same command goes on after a stop"),
    },
    example: "pipeline export triples --format npy --out triples-npy",
    start: async ({ positionals, flags, settings: _, ...rest }) =>
      (await import("../pipelines/export.ts")).exportStore({
        path: positionals[0]!,
        format: flags.format!,
        out: flags.out!,
        ...rest,
      }),
  },
  {
    name: "methods",
    summary: "list the methods: what each does, its paper, and what it needs",
    positionals: [],
    flags: {},
    example: "pipeline methods",
    start: async ({ settings, context }) => (await import("../pipelines/methods.ts")).listMethods({ settings, context }),
  },
  {
    name: "doctor",
    summary: "show devices, versions, memory, and the disk and hours a simulation would take",
    positionals: [],
    flags: {
      teacher: { value: "RUN", about: "time this teacher to project hours" },
      count,
      steps,
      profile: {
        value: "STEP",
        about: "instead: the hottest nodes of dit, dit6, dit-large, unet, autoencoder, sample-1, sample, sample-256",
      },
      runs: { value: "N", about: "profile: how often the step runs; 5 unless told", whole: true },
      rows: { value: "N", about: "profile: how many kinds of nodes to print; 25 unless told", whole: true },
    },
    inherits: { teacher: model },
    example: "pipeline doctor --count 100000",
    start: async ({ flags, positionals: _, ...rest }) => {
      const { doctor, doctorProfile } = await import("../pipelines/doctor.ts");
      if (flags.profile === undefined) return doctor({ teacher: flags.teacher, ...rest });
      return doctorProfile({ step: flags.profile, runs: Number(flags.runs ?? 5), rows: Number(flags.rows ?? 25), ...rest });
    },
  },
  {
    name: "bench",
    summary: "measure this machine: training steps, sampling and the store, on every device present",
    positionals: [],
    flags: {
      only: { value: "A,B", about: "of dit, dit6, dit-large, unet, autoencoder, sample-1, sample, sample-256, store" },
      seconds: { value: "N", about: "for each figure; 5 unless told", whole: true },
    },
    example: "pipeline bench --only dit,unet,store --seconds 10",
    start: async ({ flags, positionals: _, ...rest }) =>
      (await import("../pipelines/bench.ts")).bench({
        only: flags.only?.split(","),
        device: flags.device,
        seconds: Number(flags.seconds ?? 5),
        ...rest,
      }),
  },
];
