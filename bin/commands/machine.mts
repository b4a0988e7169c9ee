/** Commands that look at this machine. */
import { badUsage } from "../../schemas/failure.ts";
import type { Command } from "../command.mts";
import { count, method, model, size, sizeIn, steps } from "../flags.mts";

export const doctor: Command = {
  name: "doctor",
  summary: "show devices, versions and memory, and what a simulation and a distillation would take",
  positionals: [],
  flags: {
    teacher: { value: "RUN", about: "project memory and hours of its distillation: a run, or a published folder", input: "folder" },
    size,
    method,
    count,
    steps,
    profile: {
      value: "STEP",
      about: "instead: the hottest nodes of one of the bench's programs",
      choices: async () => Object.keys((await import("../../stages/bench/programs.ts")).benchPrograms),
    },
    runs: { value: "N", about: "profile: how often the step runs; 5 unless told", whole: true },
    plan: { about: "instead: bytes, hours, requests and cost of --count triples on many devices" },
    devices: { value: "N", about: "plan: how many work at once; 1 unless told", whole: true, most: 100_000 },
    preempt: { value: "4h", about: "plan: mean time to a device's preemption, in s, m, h or d; never unless told" },
    price: { value: "DOLLARS", about: "plan: of a device and hour" },
    "row-seconds": { value: "S", about: "plan: what a triple takes one device; measured here with a RUN of ours unless told" },
    epochs: { value: "N", about: "plan: of all trainings that read the store; 1 unless told", whole: true },
    rows: { value: "N", about: "profile: how many kinds of nodes to print; 25 unless told", whole: true },
    "build-tensorflow": {
      value: "PYTHON",
      about: "instead: build device tensorflow against the TensorFlow of this Python, or of a wheel",
    },
    "build-cuda": { value: "PYTHON", about: "instead: link device cuda to the onnxruntime-gpu of this Python" },
  },
  inherits: { teacher: model },
  looks: true,
  example: "pipeline doctor --teacher FOLDER --method yoso",
  start: async ({ flags, positionals: _, asked, ...rest }) => {
    checkModes(flags);
    const { doctor, doctorBuildCuda, doctorBuildTensorflow, doctorProfile } = await import("../../pipelines/doctor.ts");
    const { teacher, method, "build-tensorflow": python, "build-cuda": cuda } = flags;
    if (python !== undefined) return doctorBuildTensorflow(python, rest.context);
    if (cuda !== undefined) return doctorBuildCuda(cuda, rest.context);
    if (flags.plan !== undefined) {
      const { plan } = await import("../../pipelines/plan.ts");
      const rowsPerShard = asked.has("simulate.rowsPerShard") ? rest.settings.simulate.rowsPerShard : undefined;
      return plan({ teacher, size: await sizeIn(flags), ...planned(flags), rowsPerShard, ...rest });
    }
    if (flags.profile === undefined) return doctor({ teacher, size: await sizeIn(flags), isPlanned: method !== undefined, ...rest });
    return doctorProfile({ step: flags.profile, runs: Number(flags.runs ?? 5), rows: Number(flags.rows ?? 25), ...rest });
  },
};

/** What doctor does instead of its report, and the flags that belong to it alone. */
const modes: Readonly<Record<string, readonly string[]>> = {
  plan: ["devices", "preempt", "price", "row-seconds", "epochs"],
  profile: ["runs", "rows"],
  "build-tensorflow": [],
  "build-cuda": [],
};

/** Throws a usage failure where two of these are asked for, or a flag of one that is not. */
function checkModes(flags: Record<string, string | undefined>): void {
  const [first, second] = Object.keys(modes).filter((mode) => flags[mode] !== undefined);
  if (second !== undefined) throw badUsage(`Cannot use --${first} and --${second} at once: doctor does one of them; leave one out`);
  for (const [mode, own] of Object.entries(modes)) {
    const stray = mode === first ? undefined : own.find((flag) => flags[flag] !== undefined);
    if (stray !== undefined)
      throw badUsage(`Cannot use --${stray} without --${mode}: it is a figure of that alone; add --${mode}, or leave it out`);
  }
}

/** The figures that a plan is asked for with. Throws a usage failure where one is none. */
function planned({ devices, preempt, price, "row-seconds": seconds, epochs }: Record<string, string | undefined>) {
  return {
    devices: Number(devices ?? 1),
    epochs: Number(epochs ?? 1),
    preempt: preempt === undefined ? undefined : secondsIn(preempt),
    price: price === undefined ? undefined : positive("--price", price),
    rowSeconds: seconds === undefined ? undefined : positive("--row-seconds", seconds),
  };
}

/** Seconds of "90s", "30m", "4h" or "2d". */
function secondsIn(text: string): number {
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text) ?? [];
  const seconds = Number(amount) * ({ s: 1, m: 60, h: 3600, d: 86_400 }[unit] ?? Number.NaN);
  if (seconds > 0) return seconds;
  throw badUsage(`Cannot set --preempt to "${text}": expected a time in s, m, h or d, as in 4h`);
}

/** The number that a flag holds. */
function positive(flag: string, text: string): number {
  if (/^\d*\.?\d+(e[+-]?\d+)?$/i.test(text) && Number(text) > 0 && Number.isFinite(Number(text))) return Number(text);
  throw badUsage(`Cannot set ${flag} to "${text}": expected a number above 0, as in ${flag} 2.50`);
}

export const bench: Command = {
  name: "bench",
  summary: "measure this machine: training steps, sampling and the store, on every device present",
  positionals: [],
  flags: {
    only: {
      value: "A,B",
      about: "some of these",
      choices: async () => (await import("../../pipelines/bench.ts")).benchNames(),
    },
    seconds: { value: "N", about: "for each figure; 5 unless told", whole: true },
  },
  looks: true,
  example: "pipeline bench --only dit,unet,store --seconds 10",
  start: async ({ flags, positionals: _, ...rest }) =>
    (await import("../../pipelines/bench.ts")).bench({
      only: flags.only?.split(","),
      device: flags.device && rest.settings.engine.device, // of several cards it is the first
      seconds: Number(flags.seconds ?? 5),
      ...rest,
    }),
};
