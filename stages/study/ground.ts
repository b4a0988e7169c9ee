/** What all runs of a study stand on: triples, teacher, images and the reference, and the hashes that say which they are. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Settings } from "../../schemas/settings.ts";
import type { SolverPlan } from "../../models/diffusion/sampler-plan.ts";
import { methodNamed, optimiserOf, ownSettings, picked } from "../../methods/registry.ts";
import { orderSettings } from "../../schemas/settings.ts";
import { evaluationsOf } from "../../models/diffusion/plan-schedule.ts";
import { readDenoiser, readPerceptual } from "../runs/model.ts";
import { checkTeacher } from "../runs/teacher-of-store.ts";
import { openLatentStore } from "../../store/rows/latents.ts";
import { openTripleStore } from "../../store/rows/triples.ts";
import { textHash } from "../../store/places/hash.ts";
import type { Job } from "./plan.ts";

export interface Ground {
  /** Latent store of the real images; the reference where the settings name none and it is one of the teacher's shape. */
  images?: string;
  /** How the triples were made, and so how the teacher is measured. */
  simulate: SolverPlan;
  /** Evaluations of the teacher that a triple took. */
  evaluations: number;
  /** Hash of all that a training is a function of. */
  trainingOf: (job: Job) => string;
  /** Hash of all that a measurement of a trained run is a function of, and of the teacher's. */
  measurement: string;
  baseline: string;
}

/** Throws a Failure where store and teacher do not belong together. */
export async function openGround(options: { store: string; teacher: string; reference: string; settings: Settings }): Promise<Ground> {
  const { store, teacher, reference, settings } = options;
  const triples = await openTripleStore({ folder: store });
  const { description } = await readDenoiser(teacher);
  const { manifest } = triples;
  checkTeacher({ action: "Cannot study on", store: triples, folder: teacher, teacher: description });
  const latents = existsSync(join(reference, "store.json")) ? await openLatentStore({ folder: reference }) : undefined;
  const isAlike = latents !== undefined && String(latents.manifest.shape) === String(description.spec.shape);
  const images = settings.train.images ?? (isAlike ? reference : undefined);
  const hashes = {
    perceptual: settings.train.perceptual && (await readPerceptual(settings.train.perceptual)).description.hash,
    images: images && (await openLatentStore({ folder: images })).fingerprint,
  };
  const { keep, patience, distanceEvery, distanceCount, distanceFeatures } = settings.train; // they choose which step is the student
  const chosen = JSON.stringify({ keep, patience, distanceEvery, distanceCount, distanceFeatures });
  const measured = { reference: latents?.fingerprint ?? reference, evaluate: settings.evaluate, seed: settings.seed };
  const simulate = {
    solver: manifest.solver.name as Settings["simulate"]["solver"],
    steps: manifest.solver.steps,
    guidance: manifest.guidance,
    ...(manifest.trueGuidance !== undefined && { trueGuidance: manifest.trueGuidance }),
    ...(manifest.guidanceRescale !== undefined && { guidanceRescale: manifest.guidanceRescale }),
  };
  return {
    ...(images !== undefined && { images }),
    simulate,
    evaluations: evaluationsOf(simulate, description.spec),
    trainingOf: ({ settings: { train, seed } }) => {
      const method = methodNamed(train.method);
      const own = ownSettings(method, train);
      const order = picked(train, Object.keys(orderSettings.shape));
      const data = { store: triples.fingerprint, teacher: description.hash, ...hashes };
      return hashOf({ method: method.name, own, optimiser: optimiserOf(train), order, seed, data });
    },
    measurement: hashOf({ ...measured, chosen }),
    baseline: hashOf({ ...measured, teacher: description.hash, simulate }),
  };
}

/** The hash of what a training or a measurement is a function of. */
const hashOf = (value: unknown): string => textHash(JSON.stringify(value));
