/** The trainer's worker as the control thread sees it: it moves to more threads when others leave them, state and all. */
import { type Compute, transferables } from "../../engine/compute.ts";
import { addedFrom } from "../../methods/registry.ts";
import type { Context } from "../../schemas/events.ts";
import { onCard } from "../workers/device.ts";
import { startWorker } from "../workers/start.ts";
import { startTeam } from "../workers/team.ts";
import { startGrowing, threadsOfEach, withThreads } from "../workers/threads.ts";
import type { Among, TrainerApi, TrainerOptions } from "../workers/trainer.ts";
import type { Trainer, Training } from "./training.ts";

/**
 * Starts the worker of a training, or its workers; its programs are compiled when first needed. They outlive a stop until they are
 * closed, so that the step under way is finished and kept; samples are given up.
 */
export async function startTrainer(training: Training<unknown>, context: Context): Promise<Trainer> {
  const { name, method, job, weights, start, settings, engine, threads, group } = training;
  const { signal } = context;
  signal.throwIfAborted();
  const checkpointing = settings.checkpointing === "blocks";
  const { workers } = settings;
  const startOne = (count: number, among?: Among): Promise<Compute<TrainerApi>> =>
    startWorker<TrainerApi>({
      name: `${method.makes} trainer${among ? ` ${among.worker + 1} of ${workers}` : ""}`,
      module: new URL("../workers/trainer.ts", import.meta.url),
      remedy: `lower ${group}.batch${checkpointing ? "" : ` or set ${group}.checkpointing=blocks`}`,
      options: {
        method: method.name,
        file: addedFrom(method.name),
        job,
        weights,
        start,
        checkpointing,
        among,
        engine: onCard(withThreads(engine, count), among?.worker ?? 0),
      } satisfies TrainerOptions,
    });
  const each = workers > 1 ? " each" : "";
  const compute: Compute<TrainerApi> = await startGrowing<TrainerApi>({
    threads: () => threadsOfEach(threads(), workers),
    start: (count) => {
      if (workers === 1) return startOne(count);
      return startTeam({
        workers,
        isExact: engine.device === "cpu",
        start: (worker) => startOne(count, { worker, workers }),
      });
    },
    onGrown: (count) =>
      context.report({ type: "note", stage: name, message: `goes on with ${count} threads${each}, which others have left` }),
  });
  return {
    step: (batch, { isShown = true } = {}) => compute.call("step", { ...batch, isShown }, { transfer: transferables(batch) }),
    isSound: () => compute.call("isSound", undefined),
    sample: (inputs, of = "average") => compute.call("sample", { inputs, of }, { signal }),
    look: (program, inputs) => compute.call("look", { program, inputs }, { signal }),
    read: (role, set) => compute.call("read", { role, set }),
    sizes: (role) => compute.call("sizes", role),
    whole: (role, trained) => compute.call("whole", { role, trained }),
    lora: (role) => compute.call("lora", { role }),
    save: () => compute.call("save", undefined),
    load: (sets) => compute.call("load", sets, { transfer: transferables(sets) }), // they may be larger than a copy can be
    close: compute.close,
  };
}
