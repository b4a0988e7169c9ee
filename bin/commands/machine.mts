/** Commands that look at this machine. */
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
    rows: { value: "N", about: "profile: how many kinds of nodes to print; 25 unless told", whole: true },
    "build-tensorflow": {
      value: "PYTHON",
      about: "instead: build device tensorflow against the TensorFlow of this Python, or of a wheel",
    },
  },
  inherits: { teacher: model },
  looks: true,
  example: "pipeline doctor --teacher FOLDER --method yoso",
  start: async ({ flags, positionals: _, ...rest }) => {
    const { doctor, doctorBuildTensorflow, doctorProfile } = await import("../../pipelines/doctor.ts");
    const { teacher, method, "build-tensorflow": python } = flags;
    if (python !== undefined) return doctorBuildTensorflow(python, rest.context);
    if (flags.profile === undefined) return doctor({ teacher, size: await sizeIn(flags), isPlanned: method !== undefined, ...rest });
    return doctorProfile({ step: flags.profile, runs: Number(flags.runs ?? 5), rows: Number(flags.rows ?? 25), ...rest });
  },
};

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
      device: flags.device,
      seconds: Number(flags.seconds ?? 5),
      ...rest,
    }),
};
