/**
 * A walk of the machine (machine.ts) from a first state to the last: one compiled stage, run again and again by its coefficients, or all
 * stages as one graph, which the device runs in one call.
 */
import type { Engine } from "../../engine/engine.ts";
import { createPlanner } from "../../engine/planner.ts";
import type { InputArray, Program, ProgramSpec, Sets, Tensors } from "../../engine/program.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { elements } from "../../engine/weights.ts";
import { tensors } from "./arithmetic.ts";
import { denoise, type Network } from "./denoise.ts";
import { coefficientCount, readCoefficients, stepCoefficients } from "./coefficients.ts";
import { advance, memoriesOf, type Registers } from "./machine.ts";
import type { Parameterisation } from "./parameterisation.ts";
import type { Schedule } from "./plan-schedule.ts";

export interface WalkOptions<S extends Sets> {
  engine: Engine;
  /** [batch, h, w, c] of the states. */
  shape: readonly number[];
  schedule: Pick<Schedule, "stages" | "fresh" | "clip">;
  parameterisation: Parameterisation;
  sets: S;
  /** Declarations of what the network takes besides. */
  inputs: ProgramSpec["inputs"];
  /** The raw network, inside the traced stage. */
  network: (sets: { [K in keyof S]: Tensors }, inputs: Tensors) => Network;
  /**
   * Whether all stages are one graph. The weights are in it once, and on the CPU its results are those of the stages, bit for bit. Unless
   * told they are one on the devices where a call and the way there and back count, as long as the graph is not too large.
   */
  unrolled?: boolean | undefined;
}

/** From a first state to the last, each [batch * h * w * c]. */
export type Walk = (options: {
  start: Float32Array;
  inputs: Record<string, InputArray>;
  /** The fresh unit noise after stage `i`; where it is absent, none is added there. */
  noise?: (i: number) => Float32Array | undefined;
  /** Stages, rising: the states before them are answered too. */
  keep?: readonly number[];
}) => Promise<{ last: Float32Array; states: Float32Array[] }>;

/** Devices that are reached by calls and copies: a call costs more than arithmetic does on the processor itself. */
const FAR: ReadonlySet<string> = new Set(["webgpu", "cuda"]);

/** Nodes of the largest graph that stages are unrolled into: a session of so many takes four seconds to make (engine/NOTES.md). */
const MOST_NODES = 10_000;

/** Compiles a schedule. Walks of one engine must happen one after the other: they share the registers. */
export async function createWalk<S extends Sets>(options: WalkOptions<S>): Promise<Walk> {
  return ((await isUnrolled(options)) ? unrolledWalk : stagedWalk)(options);
}

async function isUnrolled<S extends Sets>(options: WalkOptions<S>): Promise<boolean> {
  const { engine, schedule, unrolled } = options;
  if (unrolled !== undefined || !FAR.has(engine.device)) return unrolled ?? false;
  const planner = createPlanner({ device: engine.device as "webgpu" | "cuda" });
  const { nodes } = await planner.engine.compile(stageProgram({ ...options, engine: planner.engine }).spec);
  return nodes * schedule.stages.length <= MOST_NODES;
}

/** A stage inside a traced program, by its vector of coefficients. */
function traced(
  { x, memories }: Registers<Tensor>,
  { coefficients, network, clip, added }: { coefficients: Tensor; network: Network; clip: number | undefined; added?: Tensor | undefined },
): Registers<Tensor> {
  const stage = readCoefficients(coefficients);
  const denoised = denoise({ x, coefficients: stage, network });
  const clipped = clip === undefined ? undefined : (tf.clipByValue(denoised, -clip, clip) as Tensor);
  const next = advance({ stage, x, memories, denoised, clipped }, tensors);
  return { ...next, x: added ? tf.add(next.x, added) : next.x };
}

/** One stage as a program over registers that stay on the device, so that a whole trajectory is one upload and one read. */
function stageProgram<S extends Sets>({ engine, shape, schedule, sets, inputs, network }: WalkOptions<S>) {
  const { stages, fresh, clip } = schedule;
  const isNoised = fresh.some((deviation) => deviation > 0);
  const memories = Array.from({ length: memoriesOf(stages) }, (_, i) => `memory${i}`);
  const filled = (data: Float32Array) => Object.fromEntries(["x", ...memories].map((name) => [name, { shape: [...shape], data }]));
  const state = engine.variables("trajectory", filled(new Float32Array(elements(shape))));
  const spec: ProgramSpec = {
    name: "sampler stage",
    sets: { ...sets, state },
    inputs: {
      coefficients: { shape: [coefficientCount(memories.length)] },
      ...(isNoised && { added: { shape } }),
      ...inputs,
    },
    run: ({ state: held, ...others }, { coefficients, added, ...given }) => {
      const { x, ...kept } = held as { x: Tensor };
      const next = traced(
        { x, memories: Object.values(kept) },
        { coefficients: coefficients as Tensor, network: network(others as never, given), clip, added },
      );
      const updates = Object.fromEntries(memories.map((name, i) => [name, next.memories[i] as Tensor]));
      return { outputs: {}, updates: { state: { x: next.x, ...updates } } };
    },
  };
  return { spec, state, filled, isNoised };
}

async function stagedWalk<S extends Sets>(options: WalkOptions<S>): Promise<Walk> {
  const { engine, schedule, parameterisation } = options;
  const coefficients = stepCoefficients({ plan: schedule.stages, parameterisation });
  const { spec, state, filled, isNoised } = stageProgram(options);
  const program = await engine.compile(spec);
  const read = async (): Promise<Float32Array> => ((await state.read()).x as { data: Float32Array }).data;
  return async ({ start, inputs, noise, keep = [] }) => {
    const states: Float32Array[] = [];
    await state.load(filled(start));
    for (const [i, stage] of coefficients.entries()) {
      if (keep.includes(i)) states.push(await read());
      const added = isNoised && { added: scaled(noise?.(i), schedule.fresh[i] as number, start.length) };
      await program.run({ coefficients: stage, ...added, ...inputs });
    }
    return { last: await read(), states };
  };
}

/** All stages as one graph: the first state and the noise go in, and of the states only those come back that are kept. */
async function unrolledWalk<S extends Sets>(options: WalkOptions<S>): Promise<Walk> {
  const { engine, shape, schedule, parameterisation, sets, inputs: declared, network } = options;
  const { stages, fresh, clip } = schedule;
  const coefficients = stepCoefficients({ plan: stages, parameterisation });
  const noised = fresh.flatMap((deviation, i) => (deviation > 0 ? [i] : []));
  const program: Program = await engine.compile({
    name: "sampler",
    sets,
    inputs: {
      start: { shape },
      coefficients: { shape: [stages.length, coefficients[0]?.length ?? 0] },
      ...Object.fromEntries(noised.map((i) => [`added${i}`, { shape }])),
      ...declared,
    },
    run: (given, { start, coefficients: table, ...rest }) => {
      const raw = network(given, rest);
      const x = start as Tensor;
      let registers: Registers<Tensor> = { x, memories: new Array<Tensor>(memoriesOf(stages)).fill(x) };
      const outputs: Tensors = {};
      for (const [i, row] of (tf.split(table as Tensor, stages.length) as Tensor[]).entries()) {
        const one = { coefficients: tf.reshape(row, [-1]) as Tensor, network: raw, clip, added: rest[`added${i}`] };
        registers = traced(registers, one);
        outputs[`state${i + 1}`] = registers.x;
      }
      return { outputs };
    },
  });
  const table = Float32Array.from(coefficients.flatMap((row) => [...row]));
  return async ({ start, inputs, noise, keep = [] }) => {
    const added = noised.map((i) => [`added${i}`, scaled(noise?.(i), fresh[i] as number, start.length)]);
    const names = [...keep.filter((i) => i > 0), stages.length].map((i) => `state${i}`);
    const feeds = { start, coefficients: table, ...Object.fromEntries(added), ...inputs };
    const found = await program.run(feeds, { outputs: names });
    const state = (i: number): Float32Array => (i === 0 ? start.slice() : (found[`state${i}`] as Float32Array));
    return { last: state(stages.length), states: keep.map(state) };
  };
}

const scaled = (unit: Float32Array | undefined, deviation: number, size: number): Float32Array =>
  unit ? unit.map((n) => n * deviation) : new Float32Array(size);
