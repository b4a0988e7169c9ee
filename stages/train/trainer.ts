/** The trainer's worker as the control thread sees it: it moves to more threads when others leave them, state and all. */
import { type Compute, transferables } from "../../engine/compute.ts";
import type { InputArray } from "../../engine/program.ts";
import type { Weights } from "../../engine/weights.ts";
import type { Batch, Role } from "../../methods/method.ts";
import type { SamplerInputs } from "../../models/diffusion/sampling.ts";
import type { Context } from "../../schemas/events.ts";
import type { Figures } from "../../schemas/figures.ts";
import { startWorker } from "../workers/start.ts";
import { startGrowing, withThreads } from "../workers/threads.ts";
import type { TrainerApi, TrainerOptions } from "../workers/trainer.ts";
import type { Training } from "./training.ts";

export interface Trainer {
  /** Takes one step; the batch's arrays are the worker's afterwards. */
  step: (batch: Batch) => Promise<Figures>;
  /** Samples of the product's EMA, or of its weights as they are. */
  sample: (inputs: SamplerInputs, of?: "average" | "network") => Promise<Float32Array>;
  /** Runs a program of the method that changes nothing. */
  look: (program: string, inputs: Record<string, InputArray>) => Promise<Record<string, InputArray>>;
  /** One set of one part: what is trained of it. */
  read: (role: Role, set: "network" | "average") => Promise<Weights>;
  /** All parameters of a part, of what is trained of it. */
  whole: (role: Role, trained: Weights) => Promise<Weights>;
  save: () => Promise<Record<string, Weights>>;
  load: (sets: Record<string, Weights>) => Promise<void>;
  close: () => Promise<void>;
}

/** Starts the worker of a training; its programs are compiled when first needed. */
export async function startTrainer(training: Training<unknown>, context: Context): Promise<Trainer> {
  const { name, method, job, weights, start, engine, threads, group } = training;
  const compute: Compute<TrainerApi> = await startGrowing<TrainerApi>({
    threads,
    start: (count) =>
      startWorker<TrainerApi>({
        name: `${method.makes} trainer`,
        module: new URL("../workers/trainer.ts", import.meta.url),
        remedy: `lower ${group}.batch`,
        options: { method: method.name, job, weights, start, engine: withThreads(engine, count) } satisfies TrainerOptions,
        signal: context.signal,
      }),
    onGrown: (count) => context.report({ type: "note", stage: name, message: `goes on with ${count} threads, which others have left` }),
  });
  return {
    step: (batch) => compute.call("step", batch, { transfer: transferables(batch) }),
    sample: (inputs, of = "average") => compute.call("sample", { inputs, of }),
    look: (program, inputs) => compute.call("look", { program, inputs }),
    read: (role, set) => compute.call("read", { role, set }),
    whole: (role, trained) => compute.call("whole", { role, trained }),
    save: () => compute.call("save", undefined),
    load: (sets) => compute.call("load", sets),
    close: compute.close,
  };
}
