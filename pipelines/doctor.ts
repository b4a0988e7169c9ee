/**
 * pipeline doctor [--teacher RUN] [--size WxH] [--method NAME] [--count N] [--steps K] [--profile STEP] [--build-tensorflow PYTHON]
 *                 [--build-cuda PYTHON]
 *
 * this machine | versions, devices, memory | disk and hours of the simulation that the settings describe
 * a teacher's configs and headers | programs traced over shapes | memory and hours of its distillation
 */
import { statfs } from "node:fs/promises";
import { availableParallelism, freemem, totalmem } from "node:os";
import { plannedShape } from "../models/codecs/codecs.ts";
import { methodFor, ownSettings } from "../methods/registry.ts";
import type { Context } from "../schemas/events.ts";
import type { DenoiserDescription } from "../schemas/model.ts";
import { solverFor } from "../models/diffusion/plan-schedule.ts";
import { isFailure } from "../schemas/failure.ts";
import type { ImageSize } from "../schemas/images.ts";
import { version } from "../schemas/package.ts";
import type { Settings } from "../schemas/settings.ts";
import { bytesInWords, durationInWords } from "../schemas/words.ts";
import { buildCuda } from "../stages/doctor/build-cuda.ts";
import { buildTensorflow } from "../stages/doctor/build-tensorflow.ts";
import { planFor, reportPlan } from "../stages/doctor/plan.ts";
import { probe } from "../stages/doctor/probe.ts";
import { reportProfile } from "../stages/doctor/profile.ts";
import { tensorflowInWords } from "../stages/doctor/tensorflow.ts";
import { projectedBytes } from "../stages/doctor/projection.ts";
import { secondsPerTriple } from "../stages/doctor/timing.ts";
import { hasCudaProvider, packageVersion } from "../stages/doctor/versions.ts";
import { openCodec, planDenoiser, readDenoiser } from "../stages/runs/model.ts";
import { isPublishedTeacher } from "../stages/published/teacher.ts";
import { requireOde } from "../stages/simulate/ode.ts";

/**
 * Reports what is installed, which devices answer, and what `simulate.count` triples would take: bytes from the latent
 * shape, time from two batches of the teacher where a run is given. Of a teacher it reports what training by the settings' method would
 * take, and throws a Failure where this machine's memory does not suffice; `isPlanned` says that a method was asked for, so
 * that a plan which cannot be made is a Failure too, and no warning.
 */
export async function doctor(options: {
  teacher?: string;
  /** Of pictures, where a published teacher is asked for another than its own. */
  size?: ImageSize | undefined;
  isPlanned?: boolean;
  settings: Settings;
  context: Context;
}): Promise<void> {
  const { teacher, size, isPlanned = false, settings, context } = options;
  const { report, signal } = context;
  report({
    type: "result",
    stage: "versions",
    values: {
      onestep: version(),
      node: process.versions.node,
      "tensorflow.js": packageVersion("@tensorflow/tfjs") ?? "not installed",
      "onnx runtime": packageVersion("onnxruntime-node") ?? "not installed",
    },
  });

  const gpus = {
    webgpu: await probe("webgpu", { signal }),
    cuda: hasCudaProvider() ? await probe("cuda", { signal }) : "not installed: see doctor --build-cuda",
  };
  report({
    type: "result",
    stage: "devices",
    values: {
      cpu: `ready, ${availableParallelism()} cores`,
      ...gpus,
      tensorflow: await tensorflowInWords(signal),
    },
  });

  const { bsize, bavail } = await statfs(".");
  const free = bsize * bavail;
  report({
    type: "result",
    stage: "machine",
    values: {
      memory: `${bytesInWords(freemem())} free of ${bytesInWords(totalmem())}`,
      disk: `${bytesInWords(free)} free here`,
    },
  });

  const warned = (stage: string, what: string) => (error: unknown) => {
    if (!isFailure(error)) throw error;
    report({ type: "warning", stage, message: `no ${what}: ${error.message}` });
  };
  const planned = teacher === undefined ? undefined : await planDenoiser(teacher, { size, textLength: settings.simulate.textLength });
  await project({ ...options, free, description: planned?.teacher.description }).catch(warned("simulation", "projection"));
  if (planned === undefined) return;
  const devices = ["cpu", ...Object.entries(gpus).flatMap(([name, answer]) => (answer === "ready" ? [name] : []))];
  const plan = await planFor({ ...planned, settings, context }).catch((error) => {
    if (isPlanned) throw error;
    warned("training", "plan")(error);
  });
  if (plan) await reportPlan({ plan, devices, settings, context });
}

/** Builds device "tensorflow" against the TensorFlow of a Python, of a wheel or in a folder, and reports what it computes on. */
export const doctorBuildTensorflow = (from: string, context: Context): Promise<void> => buildTensorflow(from, context);

/** Links ONNX Runtime's CUDA provider of a Python's onnxruntime-gpu for device "cuda", and reports whether a session loads. */
export const doctorBuildCuda = (from: string, context: Context): Promise<void> => buildCuda(from, context);

/** Reports where the time of one of the bench's programs goes on the settings' device. */
export async function doctorProfile(options: {
  step: string;
  runs: number;
  rows: number;
  settings: Settings;
  context: Context;
}): Promise<void> {
  const { settings, ...rest } = options;
  await reportProfile({ ...rest, engine: settings.engine });
}

/** Reports bytes and time of `simulate.count` triples. */
async function project({
  teacher,
  description,
  free,
  settings,
  context: { report, signal },
}: {
  teacher?: string;
  description: DenoiserDescription | undefined; // the teacher's
  free: number; // bytes on the disk
  settings: Settings;
  context: Context;
}): Promise<void> {
  if (description) requireOde(teacher as string, description, settings.simulate);
  const shape = description?.spec.shape ?? (await shapeOf(settings));
  const { count, steps, solver } = settings.simulate;
  const bytes = projectedBytes(settings.simulate, shape);
  report({
    type: "result",
    stage: "simulation",
    values: {
      triples: count,
      solver: `${description ? solverFor(solver, description.spec.diffusion) : solver}, ${steps} steps`,
      latent: `${shape.join(" x ")} ${settings.simulate.dtype}`,
      disk: bytesInWords(bytes),
      time: await timeOf({ teacher, settings, context: { report, signal } }),
    },
  });
  if (bytes > free) {
    const message = `${bytesInWords(bytes)} do not fit into the ${bytesInWords(free)} free here`;
    report({ type: "warning", stage: "simulation", message });
  }
}

/** In words, how long the triples take: a run's teacher is tried, a published one may take minutes to be read. */
async function timeOf({ teacher, settings, context: { report, signal } }: Parameters<typeof doctor>[0]): Promise<string> {
  if (teacher === undefined) return "unknown: name a teacher with --teacher RUN";
  if (isPublishedTeacher(teacher)) return "below, by its arithmetic";
  return durationInWords(settings.simulate.count * (await secondsPerTriple(await readDenoiser(teacher, { report }), { settings, signal })));
}

/** Of the latents these settings lead to; an autoencoder that is not there yet is taken as `pretrain` would make it. */
async function shapeOf(settings: Settings): Promise<readonly number[]> {
  const planned = plannedShape(settings, (method) => ownSettings(methodFor(method), settings.pretrain[method]));
  return planned ?? (await openCodec(settings)).description.shape;
}
