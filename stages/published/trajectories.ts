/**
 * Whole runs of a published pipeline, walked again as its scheduler walks: from the golden noise to the latents after each call of the
 * network, and to the picture.
 */
import { join } from "node:path";
import * as z from "zod";
import { createEngine } from "../../engine/engine.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { autoencoderKl, latentScale } from "../../models/codecs/kl.ts";
import { applyNetwork, takesGuidance } from "../../models/denoiser.ts";
import { guidedNetwork } from "../../models/diffusion/guidance.ts";
import { createParameterisation } from "../../models/diffusion/parameterisation.ts";
import { type Schedule, walkSchedule } from "../../models/diffusion/plan-schedule.ts";
import { createWalk } from "../../models/diffusion/walk.ts";
import { readPartConfig } from "../../models/published/folder.ts";
import { readConfig } from "../../models/published/network.ts";
import { fromChannelsFirst, toChannelsFirst } from "../../models/published/torch.ts";
import type { DenoiserSpec } from "../../schemas/model.ts";
import { forwardOf } from "./forward.ts";
import { differenceOf, type Parity, readAbout, readGolden, tensorOf } from "./golden.ts";
import { readPart } from "./part.ts";
import { withLatents } from "./size.ts";
import { readPublishedTeacher } from "./teacher.ts";
import { conditionsOf, entrySchema, type Run } from "./trajectory-run.ts";

const goldenSchema = z.looseObject({
  prompts: z.record(z.string(), z.string()).default({}),
  trajectories: z.array(entrySchema).default([]),
});

/** The share of the largest element that may differ. */
const TOLERANCE = 1e-3;

/**
 * Walks every trajectory of the golden vectors again, one after the other; passed over are those of schedulers whose steps are not known
 * here, and those that add noise which was not kept. `only` chooses by name.
 */
export async function* trajectoryParity(options: {
  folder: string;
  path: string;
  only?: (name: string) => boolean;
}): AsyncGenerator<Parity> {
  const { folder, path, only = () => true } = options;
  const { prompts, trajectories } = await readAbout(path, goldenSchema);
  const entries = trajectories.filter(({ name }) => only(name));
  if (entries.length === 0) return;
  const { tensors } = await readGolden(path);
  const teacher = await readPublishedTeacher(folder);
  const engine = await createEngine({ device: "cpu", threads: 1 });
  try {
    for (const entry of entries) yield* runParity({ folder, path, entry, engine, teacher, tensors, prompts });
  } finally {
    await engine.dispose();
  }
}

async function* runParity(run: Run): AsyncGenerator<Parity> {
  const { path, entry, tensors } = run;
  const spec = specOf(run);
  const schedule = walkSchedule({ steps: entry.num_inference_steps, diffusion: spec.diffusion, shape: spec.shape });
  const isFresh = schedule?.fresh.some((deviation) => deviation > 0) && entry.added === undefined; // nobody knows the noise
  if (!schedule || isFresh) return;
  const { states, latents } = await walkedAgain(run, spec, schedule);
  const expected = (name: string): Float32Array[] => goldenStates(tensorOf(tensors, name, path), latents.length, spec.shape);
  const { steps: named = `${entry.name}.steps` } = entry;
  if (entry.steps !== undefined || tensors[named]) {
    const steps = expected(named);
    const own =
      steps.length === states.length ? states : schedule.begins.map((_, i) => states[(schedule.begins[i + 1] ?? states.length) - 1]);
    const differences = steps.map((step, i) => differenceOf(own[i] ?? [], step));
    yield { what: `trajectory ${entry.name}, every step`, difference: Math.max(...differences), tolerance: TOLERANCE };
  }
  const [last] = expected(entry.latents) as [Float32Array];
  yield { what: `trajectory ${entry.name}, latents`, difference: differenceOf(latents, last), tolerance: TOLERANCE };
  const image = tensors[`${entry.name}.image`];
  if (!image) return;
  const found = await pictureOf(run, spec, latents);
  yield { what: `trajectory ${entry.name}, picture`, difference: differenceOf(found, image.data), tolerance: TOLERANCE };
}

/** The teacher as the run has it: of the noise's size, with the run's scheduler and length of text. */
function specOf({ entry, path, tensors, teacher: { description } }: Run): DenoiserSpec {
  const [, , height, width] = tensorOf(tensors, entry.noise, path).shape as [number, number, number, number];
  const { network, diffusion, ...rest } = withLatents(description.spec, [height, width]);
  const { text } = network;
  const length = entry.max_sequence_length; // of the last encoder, T5
  const lengths = text?.lengths.map((own, i) => (i === text.lengths.length - 1 ? (length ?? own) : own)) ?? [];
  return {
    ...rest,
    network: { ...network, ...(text && { text: { ...text, lengths } }) },
    diffusion: { ...diffusion, ...(entry.scheduler && { schedule: { _class_name: entry.scheduler, ...entry.scheduler_config } }) },
  };
}

/** The scheduler's own states after each call of the network, and the latents at the end, [b, h, w, c]. */
async function walkedAgain(run: Run, spec: DenoiserSpec, schedule: Schedule): Promise<{ states: Float32Array[]; latents: Float32Array }> {
  const { entry, path, engine, teacher, tensors } = run;
  const noise = fromChannelsFirst(tensorOf(tensors, entry.noise, path));
  const added = entry.added === undefined ? [] : goldenStates(tensorOf(tensors, entry.added, path), noise.data.length, spec.shape);
  const isTold = takesGuidance(spec) || spec.network.text?.pipeline === "FluxPipeline"; // of its scale, or trained to need none
  const scale = isTold ? entry.true_cfg_scale : entry.guidance_scale;
  const isGuided = scale > 1; // as all pipelines have it
  const given = await conditionsOf({ ...run, spec, isGuided, rows: noise.shape[0] as number });
  const walk = await createWalk({
    engine,
    shape: noise.shape,
    schedule,
    parameterisation: createParameterisation(spec.diffusion),
    sets: { network: engine.constants("network", teacher.weights) },
    inputs: given.inputs,
    network: ({ network }, inputs) => {
      const condition = given.embedded(inputs);
      const ask = ({ x, noiseLevel }: { x: Tensor; noiseLevel: Tensor }) => applyNetwork(spec, network, { x, noiseLevel, condition });
      return isGuided ? guidedNetwork({ scale, rescale: entry.guidance_rescale, network: ask }) : ask;
    },
  });
  const { last: latents, states } = await walk({
    start: noise.data.map((n) => n * schedule.start),
    inputs: given.values,
    noise: (i) => added[i],
    keep: schedule.stages.map((_, i) => i).slice(1),
  });
  const own = states.map((state, i) => state.map((x) => x * (schedule.scales?.[i + 1] ?? 1)));
  return { states: [...own, latents], latents };
}

/** Golden latents, one set or several, each as ours are: [b, h, w, c]. */
function goldenStates(tensor: Weights[string], size: number, shape: readonly [number, number, number]): Float32Array[] {
  const [height, width, channels] = shape;
  const isPacked = String(tensor.shape.slice(-3)) !== String([channels, height, width]);
  const rows = size / (height * width * channels);
  return Array.from({ length: tensor.data.length / size }, (_, i) => {
    const data = tensor.data.subarray(i * size, (i + 1) * size) as Float32Array;
    return isPacked ? unpacked(data, shape) : fromChannelsFirst({ shape: [rows, channels, height, width], data }).data;
  });
}

/** Latents [b, h, w, c] from FLUX's tokens of 2 x 2 pixels each, [b, h w / 4, 4 c], whose numbers come channel by channel. */
function unpacked(tokens: Float32Array, [, width, channels]: readonly [number, number, number]): Float32Array {
  return tokens.map((_, i) => {
    const [channel, x, y] = [i % channels, Math.floor(i / channels) % width, Math.floor(i / (channels * width))]; // y through all rows
    const token = Math.floor(y / 2) * (width / 2) + Math.floor(x / 2);
    return tokens[(token * channels + channel) * 4 + (y % 2) * 2 + (x % 2)] as number;
  });
}

/** The picture of latents [b, h, w, c] as pipelines have it, from 0 to 1: [b, c, h, w]. */
async function pictureOf({ folder, engine }: Run, { shape }: DenoiserSpec, latents: Float32Array): Promise<Float32Array> {
  const at = join(folder, "vae");
  const { mean, scale } = latentScale(readConfig(autoencoderKl.config, await readPartConfig(at)));
  const channels = shape[2];
  const unscaled = latents.map((x, i) => x / (scale[i % channels] as number) + (mean[i % channels] as number));
  const given = toChannelsFirst({ shape: [latents.length / (shape[0] * shape[1] * channels), ...shape], data: unscaled });
  const part = await readPart(at);
  const { outputs } = await forwardOf({ engine, part, folder: at, call: "decode", inputs: { latents: { ...given, isWhole: false } } });
  return (outputs.image as Weights[string]).data.map((x) => Math.min(1, Math.max(0, x / 2 + 0.5)));
}
