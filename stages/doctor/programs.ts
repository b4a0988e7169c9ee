/** What a method's training is made of before it has an engine, and its programs on a device that is named. */
import type { Engine } from "../../engine/engine.ts";
import type { Job, Kit, Needs } from "../../methods/method.ts";
import { type AnyMethod, methodNamed, optimiserOf, ownSettings } from "../../methods/registry.ts";
import type { DenoiserSpec } from "../../models/denoiser.ts";
import { trajectoryOf } from "../../models/diffusion/plan-schedule.ts";
import type { Context } from "../../schemas/events.ts";
import type { Settings } from "../../schemas/settings.ts";
import type { Codec, Denoiser } from "../runs/model.ts";
import { plannedPhases } from "../train/phases.ts";
import { frozenOf } from "../train/prepare/given.ts";
import { subjectOf } from "../train/prepare/subject.ts";
import { SAMPLED_AT_ONCE } from "../train/sample-evenly.ts";
import { createUpdates } from "../workers/updates.ts";

/** The settings of each training of the method, and of each simulation between them. */
export async function phasesOf(settings: Settings): Promise<{ trained: Settings[]; simulated: Settings[] }> {
  const method = methodNamed(settings.train.method);
  const phases = method.phases?.(ownSettings(method, settings.train)) ?? [];
  if (phases.length === 0) return { trained: [settings], simulated: [] };
  const planned = await plannedPhases({ method, phases, given: undefined, out: "", settings });
  const of = (kind: string): Settings[] => planned.filter((phase) => phase.kind === kind).map((phase) => phase.settings);
  return { trained: of("train"), simulated: of("simulate") };
}

export interface Training {
  teacher: Denoiser;
  codec: Codec;
  method: AnyMethod;
  settings: Settings;
  context: Context;
}

/** What a training is made of before it has an engine. */
export async function partsOf(options: Training): Promise<{ job: Job<never>; kit: Kit<never>; needs: Needs; student: DenoiserSpec }> {
  const { teacher, codec, method, settings, context } = options;
  const { spec } = teacher.description;
  const own = ownSettings(method, settings.train);
  const optimiser = optimiserOf(settings.train);
  const needs = method.needs(own, optimiser);
  const frozen = await frozenOf({ needs, teacher, codec, settings, context });
  const student = method.student?.(own, spec, { imageTokenizer: frozen.tokenizer?.config }) ?? spec;
  const trajectory = trajectoryOf(settings.simulate, spec)?.sigmas;
  const subject = subjectOf({
    ...{ teacher: teacher.description, student, needs, frozen, settings, trajectory },
    codec: codec.description,
  });
  const job: Job<never> = { settings: own, optimiser, seed: settings.seed, subject };
  return { job, kit: { ...job, weights: frozen.weights }, needs, student };
}

/**
 * Compiles every program of the settings' method for a teacher on the engine given, those of all its phases and of sampling what it makes:
 * what a device refuses is thrown before anything is read or trained. Returns their names.
 */
export async function compileTraining(options: Omit<Training, "method"> & { engine: Engine }): Promise<string[]> {
  const { settings, engine } = options;
  const method = methodNamed(settings.train.method);
  const names: string[] = [];
  for (const phase of (await phasesOf(settings)).trained) {
    const { kit } = await partsOf({ ...options, method, settings: phase });
    const { programs, compileUpdate, compileLook, compileSampling } = createUpdates({ engine, method, kit });
    for (const [name, program] of Object.entries(programs)) {
      await ("trains" in program ? compileUpdate(name, program) : compileLook(name, program));
      names.push(name);
    }
    await compileSampling("average", SAMPLED_AT_ONCE);
  }
  return names;
}
