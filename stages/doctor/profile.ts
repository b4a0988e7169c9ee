/** The report of `doctor --profile`: a program of the bench, and which of its nodes take the time. */
import { setImmediate } from "node:timers/promises";
import { type ProfileRow, profile } from "../../engine/profile.ts";
import type { Context } from "../../schemas/events.ts";
import { badUsage, Failure } from "../../schemas/failure.ts";
import type { EngineSettings } from "../../schemas/settings.ts";
import { type BenchProgram, benchProgram } from "../bench/programs.ts";
import { deviceOf } from "../workers/device.ts";
import { probe } from "./probe.ts";

/**
 * Profiles the bench program named `step` and reports its time in nodes and outside them, the time of each op, and the
 * `rows` hottest kinds of nodes; on a GPU also its kernels, and the nodes that ran elsewhere. Shares are of a step's wall time.
 */
export async function reportProfile(options: {
  step: string;
  runs: number;
  rows: number;
  engine: EngineSettings;
  context: Context;
  programs?: Readonly<Record<string, BenchProgram>>;
}): Promise<void> {
  const { step, runs, rows, engine, context, programs } = options;
  const { signal, report } = context;
  const { start, about } = benchProgram(step, programs);
  const { device, threads } = deviceOf(engine);
  if (device === "tensorflow")
    throw badUsage('Cannot profile on device "tensorflow": ONNX Runtime has the profiler; choose cpu, webgpu or cuda');
  const answer = device === "cpu" ? "ready" : await probe(device, { signal });
  if (answer !== "ready") throw new Failure(`Cannot profile on device "${device}": ${answer}; choose --device cpu, or see pipeline doctor`);
  const result = await profile({
    ...{ device, threads, steps: runs, start },
    turn: async () => {
      await setImmediate(); // a run holds this thread: let Ctrl-C in
      signal.throwIfAborted();
    },
  });
  const percent = (ms: number): number => (100 * ms) / result.wall;
  report({
    type: "result",
    stage: "profile",
    values: {
      step: `${step}: ${about}`,
      device: `${device}, ${threads === 0 ? "a thread a core" : `${threads} thread${threads === 1 ? "" : "s"}`}`,
      "ms a step": result.wall,
      "in nodes, %": percent(result.nodes),
      "between nodes, %": percent(result.between),
      "outside ONNX Runtime, %": percent(result.outside),
      ...(device !== "cpu" && { [`not on ${device}, nodes a step`]: result.strayed.reduce((sum, { calls }) => sum + calls, 0) }),
    },
  });
  const lines = (kinds: ProfileRow[], name: string) =>
    kinds.slice(0, rows).map(({ op, shapes, provider, calls, ms, share }) => ({
      "ms a step": ms,
      "share, %": 100 * share,
      calls,
      [name]: op,
      ...(shapes && { shapes }),
      provider: provider.replace("ExecutionProvider", ""),
    }));
  report({ type: "table", stage: "by op", rows: lines(result.byOp, "op") });
  report({ type: "table", stage: "hottest nodes", rows: lines(result.byShape, "op") });
  if (result.kernels.length > 0) report({ type: "table", stage: "kernels on the GPU", rows: lines(result.kernels, "kernel") });
  if (result.strayed.length === 0) return;
  const share = result.strayed.reduce((sum, row) => sum + row.share, 0);
  report({ type: "table", stage: `not on ${device}`, rows: lines(result.strayed, "op") });
  const calls = result.strayed.reduce((sum, row) => sum + row.calls, 0);
  report({
    type: "warning",
    stage: "profile",
    message: `${calls} nodes a step do not run on ${device} or copy for those, ${(100 * share).toFixed(1)} % of its time`,
  });
}
