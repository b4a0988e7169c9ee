/** A walk of the machine (machine.ts): one compiled stage, run again and again by its coefficients from a first state to the last. */
import type { Engine } from "../../engine/engine.ts";
import type { InputArray, ProgramSpec, Sets, Tensors } from "../../engine/program.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { tensors } from "./arithmetic.ts";
import { denoise, type Network } from "./denoise.ts";
import { coefficientCount, readCoefficients, stepCoefficients } from "./coefficients.ts";
import { advance, memoriesOf } from "./machine.ts";
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
}

/** From a first state to the last, each [batch * h * w * c]. */
export type Walk = (options: {
  start: Float32Array;
  inputs: Record<string, InputArray>;
  /** The fresh unit noise after stage `i`; where it is absent, none is added there. */
  noise?: (i: number) => Float32Array | undefined;
  /** Called before each stage; `read` answers the state there. */
  before?: (i: number, read: () => Promise<Float32Array>) => Promise<void>;
}) => Promise<Float32Array>;

/** Compiles one stage of a schedule. Walks of one engine must happen one after the other: they share the registers. */
export async function createWalk<S extends Sets>(options: WalkOptions<S>): Promise<Walk> {
  const { engine, shape, schedule, parameterisation, sets, inputs: declared, network } = options;
  const { stages, fresh, clip } = schedule;
  const coefficients = stepCoefficients({ plan: stages, parameterisation });
  const isNoised = fresh.some((deviation) => deviation > 0);
  const size = shape.reduce((a, b) => a * b, 1);
  const memories = Array.from({ length: memoriesOf(stages) }, (_, i) => `memory${i}`);

  // What a stage hands to the next stays on the device: a whole trajectory is one upload and one read.
  const registers = ["x", ...memories];
  const filled = (data: Float32Array) => Object.fromEntries(registers.map((name) => [name, { shape: [...shape], data }]));
  const state = engine.variables("trajectory", filled(new Float32Array(size)));
  const program = await engine.compile({
    name: "sampler stage",
    sets: { ...sets, state },
    inputs: {
      coefficients: { shape: [coefficientCount(memories.length)] },
      ...(isNoised && { added: { shape } }),
      ...declared,
    },
    run: ({ state: held, ...others }, { coefficients, added, ...given }) => {
      const stage = readCoefficients(coefficients as Tensor);
      const { x } = held as { x: Tensor };
      const raw = network(others as unknown as { [K in keyof S]: Tensors }, given);
      const denoised = denoise({ x, coefficients: stage, network: raw });
      const clipped = clip === undefined ? undefined : (tf.clipByValue(denoised, -clip, clip) as Tensor);
      const next = advance({ stage, x, memories: memories.map((name) => held[name] as Tensor), denoised, clipped }, tensors);
      const updates = Object.fromEntries(memories.map((name, i) => [name, next.memories[i] as Tensor]));
      return { outputs: {}, updates: { state: { x: added ? tf.add(next.x, added) : next.x, ...updates } } };
    },
  });

  const read = async (): Promise<Float32Array> => ((await state.read()).x as { data: Float32Array }).data;
  const scaled = (unit: Float32Array | undefined, deviation: number): Float32Array =>
    unit ? unit.map((n) => n * deviation) : new Float32Array(size);
  return async ({ start, inputs, noise, before }) => {
    await state.load(filled(start));
    for (const [i, stage] of coefficients.entries()) {
      await before?.(i, read);
      await program.run({ coefficients: stage, ...(isNoised && { added: scaled(noise?.(i), fresh[i] as number) }), ...inputs });
    }
    return read();
  };
}
