/**
 * pipeline doctor [--teacher RUN] [--count N] [--steps K] [--profile STEP]
 *
 * this machine | versions, devices, memory | disk and hours of the simulation that the settings describe
 */
import { statfs } from "node:fs/promises";
import { availableParallelism, freemem, totalmem } from "node:os";
import { plannedShape } from "../models/codecs/codecs.ts";
import { methodFor, ownSettings } from "../methods/registry.ts";
import type { Context } from "../schemas/events.ts";
import { solverFor } from "../models/diffusion/plan-schedule.ts";
import { Failure } from "../schemas/failure.ts";
import { version } from "../schemas/package.ts";
import type { Settings } from "../schemas/settings.ts";
import { bytesInWords, durationInWords } from "../schemas/words.ts";
import { probe } from "../stages/doctor/probe.ts";
import { reportProfile } from "../stages/doctor/profile.ts";
import { projectedBytes } from "../stages/doctor/projection.ts";
import { secondsPerTriple } from "../stages/doctor/timing.ts";
import { hasCudaProvider, packageVersion } from "../stages/doctor/versions.ts";
import { openCodec, readDenoiser } from "../stages/runs/model.ts";
import { requireOde } from "../stages/simulate/ode.ts";

/**
 * Reports what is installed, which devices answer, and what `simulate.count` triples would take: bytes from the latent
 * shape, time from two batches of the teacher where one is given, and no time otherwise.
 */
export async function doctor(options: { teacher?: string; settings: Settings; context: Context }): Promise<void> {
  const { report, signal } = options.context;
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

  const peer = ["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node"].find((name) => packageVersion(name));
  report({
    type: "result",
    stage: "devices",
    values: {
      cpu: `ready, ${availableParallelism()} cores`,
      webgpu: await probe("webgpu", { signal }),
      cuda: hasCudaProvider() ? await probe("cuda", { signal }) : "not installed (ONNX Runtime's CUDA provider)",
      tensorflow: peer ? `${peer} ${packageVersion(peer)}` : "not installed (optional peer @tensorflow/tfjs-node-gpu)",
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

  try {
    await project({ ...options, free });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    report({ type: "warning", stage: "simulation", message: `no projection: ${error.message}` });
  }
}

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
  free,
  settings,
  context: { report, signal },
}: {
  teacher?: string;
  free: number; // bytes on the disk
  settings: Settings;
  context: Context;
}): Promise<void> {
  const network = teacher === undefined ? undefined : await readDenoiser(teacher, { report });
  if (network) requireOde(teacher as string, network.description, settings.simulate);
  const shape = network?.description.spec.shape ?? (await shapeOf(settings));
  const { count, steps, solver } = settings.simulate;
  const bytes = projectedBytes(settings.simulate, shape);
  const seconds = network && count * (await secondsPerTriple(network, { settings, signal }));
  report({
    type: "result",
    stage: "simulation",
    values: {
      triples: count,
      solver: `${network ? solverFor(solver, network.description.spec.diffusion) : solver}, ${steps} steps`,
      latent: `${shape.join(" x ")} ${settings.simulate.dtype}`,
      disk: bytesInWords(bytes),
      time: seconds === undefined ? "unknown: name a teacher with --teacher RUN" : durationInWords(seconds),
    },
  });
  if (bytes > free) {
    const message = `${bytesInWords(bytes)} do not fit into the ${bytesInWords(free)} free here`;
    report({ type: "warning", stage: "simulation", message });
  }
}

/** Of the latents these settings lead to; an autoencoder that is not there yet is taken as `pretrain` would make it. */
async function shapeOf(settings: Settings): Promise<readonly number[]> {
  const planned = plannedShape(settings, (method) => ownSettings(methodFor(method), settings.pretrain[method]));
  return planned ?? (await openCodec(settings)).description.shape;
}
