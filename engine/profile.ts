/**
 * Where the time of a program goes: runs it with ONNX Runtime's profiler and adds up the nodes. On a GPU the time of a
 * node there is what the control thread spends on it; the kernels' own times come beside it where the device tells them.
 */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createEngine, type Engine } from "./engine.ts";
import type { Device } from "./session.ts";

/** Nodes of one kind, over all programs. */
export interface ProfileRow {
  op: string;
  /** Shapes of the inputs and outputs, as in `[64,128] [128,512] -> [64,512]`; empty where rows are one an op. */
  shapes: string;
  provider: string;
  /** Calls and milliseconds of one step, on average. */
  calls: number;
  ms: number;
  /** Of the step's wall time, 0 to 1. */
  share: number;
}

export interface Profile {
  /** Milliseconds of one step, with the profiler on. */
  wall: number;
  /** Milliseconds of a step in nodes, between the nodes of a run, and outside ONNX Runtime; they sum to `wall`. */
  nodes: number;
  between: number;
  outside: number;
  /** The hottest first. */
  byOp: ProfileRow[];
  byShape: ProfileRow[];
  /** What ran on the GPU, as the GPU timed it: one row a kernel. Empty elsewhere. */
  kernels: ProfileRow[];
  /** Kinds of nodes (those of `byShape`) that another provider than the engine's device ran, and the copies for them. */
  strayed: ProfileRow[];
}

/** One event of a chrome trace; times in microseconds. */
interface TraceEvent {
  cat?: string;
  name?: string;
  ts?: number;
  dur?: number;
  args?: Record<string, unknown>;
}

const PROVIDERS: Record<Device, string> = {
  cpu: "CPUExecutionProvider",
  webgpu: "WebGpuExecutionProvider",
  cuda: "CUDAExecutionProvider",
};

/**
 * Profiles what `start` compiles: `steps` steps after `warmup` that do not count. Each program must run equally often in
 * every step. `turn` is awaited before each step, to look at a signal or let the event loop pass.
 *
 * @example
 * import { profile } from "./profile.ts";
 * import { tf } from "onestep/engine";
 * const inputs = { x: { shape: [2] } };
 * const { byOp } = await profile({
 *   steps: 1,
 *   start: async (engine) => {
 *     const program = await engine.compile({ name: "sine", sets: {}, inputs, run: (_, { x }) => ({ outputs: { y: tf.sin(x!) } }) });
 *     return () => program.run({ x: Float32Array.of(0, 1) });
 *   },
 * });
 * assert.equal(byOp[0]?.op, "Sin");
 */
export async function profile(options: {
  device?: Device;
  threads?: number;
  steps: number;
  warmup?: number;
  start: (engine: Engine) => Promise<(step: number) => Promise<unknown>>;
  turn?: () => Promise<void>;
}): Promise<Profile> {
  const { device = "cpu", threads = 0, steps, warmup = 2, start, turn } = options;
  const folder = await mkdtemp(join(tmpdir(), "onestep-profile-"));
  try {
    const engine = await createEngine({ device, threads, profile: join(folder, "program") });
    let wall = 0;
    try {
      const run = await start(engine);
      for (let step = 0; step < warmup + steps; step++) {
        await turn?.();
        const began = performance.now();
        await run(step);
        if (step >= warmup) wall += performance.now() - began;
      }
    } finally {
      await engine.dispose(); // writes the files
    }
    const traces = await Promise.all(
      (await readdir(folder)).map(async (name) => JSON.parse(await readFile(join(folder, name), "utf8")) as TraceEvent[]),
    );
    return summarise(traces, { wall: wall / steps, steps, warmup, device });
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Adds up the traces of a step's programs, one an element. `wall` is the milliseconds of one step. */
export function summarise(
  traces: readonly (readonly TraceEvent[])[],
  options: { wall: number; steps: number; warmup: number; device: Device },
): Profile {
  const { wall, steps, warmup, device } = options;
  const counted = traces.map((events) => afterWarmup(events, warmup / (warmup + steps)));
  const events = counted.flatMap((trace) => trace.events);
  const nodes = events.filter(({ cat, name }) => cat === "Node" && name?.endsWith("_kernel_time"));
  const scale = { wall, steps };
  const total = nodes.reduce((sum, { dur = 0 }) => sum + dur, 0) / 1000 / steps;
  const inside = counted.reduce((sum, { inside }) => sum + inside, 0) / 1000 / steps;
  const byShape = rows(nodes, scale, nodeKind);
  return {
    wall,
    nodes: total,
    between: inside - total,
    outside: wall - inside,
    byOp: rows(nodes, scale, (event) => ({ ...nodeKind(event), shapes: "" })),
    byShape,
    kernels: rows(
      counted.flatMap((trace) => trace.kernels),
      scale,
      kernelKind,
    ),
    strayed: byShape.filter(({ provider, op }) => provider !== PROVIDERS[device] || op.startsWith("Memcpy")),
  };
}

/** The events of the runs that count, and the microseconds of those runs. The GPU has a clock of its own: its events are counted off. */
function afterWarmup(events: readonly TraceEvent[], share: number): { events: TraceEvent[]; kernels: TraceEvent[]; inside: number } {
  const later = (chosen: TraceEvent[]): TraceEvent[] =>
    chosen.sort((a, b) => (a.ts ?? 0) - (b.ts ?? 0)).slice(Math.round(chosen.length * share));
  const counted = later(events.filter(({ cat, name }) => cat === "Session" && name === "model_run"));
  const begin = counted[0]?.ts ?? Number.POSITIVE_INFINITY;
  return {
    events: events.filter(({ ts = 0 }) => ts >= begin),
    kernels: later(events.filter(({ cat }) => cat === "Kernel" || cat === "Api")),
    inside: counted.reduce((sum, { dur = 0 }) => sum + dur, 0),
  };
}

type Kind = Pick<ProfileRow, "op" | "shapes" | "provider">;

function rows(
  events: readonly TraceEvent[],
  { wall, steps }: { wall: number; steps: number },
  kindOf: (event: TraceEvent) => Kind,
): ProfileRow[] {
  const kinds = new Map<string, ProfileRow>();
  for (const event of events) {
    const kind = kindOf(event);
    const key = JSON.stringify(kind);
    const row = kinds.get(key) ?? { ...kind, calls: 0, ms: 0, share: 0 };
    kinds.set(key, row);
    row.calls++;
    row.ms += (event.dur ?? 0) / 1000;
  }
  return [...kinds.values()]
    .map(({ calls, ms, ...kind }) => ({ ...kind, calls: calls / steps, ms: ms / steps, share: ms / steps / wall }))
    .sort((a, b) => b.ms - a.ms);
}

function nodeKind({ args = {} }: TraceEvent): Kind {
  const shapes = (list: unknown): string =>
    (Array.isArray(list) ? list : []).map((entry) => JSON.stringify(Object.values(entry as object)[0])).join(" ");
  return {
    op: String(args.op_name),
    shapes: `${shapes(args.input_type_shape)} -> ${shapes(args.output_type_shape)}`,
    provider: String(args.provider),
  };
}

/** A kernel on WebGPU is named `node&op&program`, its shapes are `inputs[0] = {2,3} inputs[1] = {3} outputs[0] = {2,3} `. */
function kernelKind({ name = "", args = {} }: TraceEvent): Kind {
  const [, op = name, program = op] = name.split("&");
  const sides = String(args.shapes ?? "").split(/(?=outputs\[0\])/);
  const shapes = sides.map((side) => [...side.matchAll(/\{(.*?)\}/g)].map(([, sizes]) => `[${sizes}]`).join(" "));
  return { op: op === program ? op : `${op} (${program})`, shapes: shapes.join(" -> "), provider: "GPU" };
}
