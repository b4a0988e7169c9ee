/**
 * Whole runs of a published pipeline, walked again as its scheduler walks: from the golden noise to the latents after each call of the
 * network, and to the picture.
 */
import { join } from "node:path";
import * as z from "zod";
import { createEngine, type Engine } from "../../engine/engine.ts";
import type { InputArray } from "../../engine/program.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { autoencoderKl, latentScale } from "../../models/codecs/kl.ts";
import { applyNetwork, takesGuidance } from "../../models/denoiser.ts";
import { guidedNetwork } from "../../models/diffusion/guidance.ts";
import { createParameterisation } from "../../models/diffusion/parameterisation.ts";
import { type Schedule, walkSchedule } from "../../models/diffusion/plan-schedule.ts";
import { createWalk } from "../../models/diffusion/walk.ts";
import type { Embedded, InputShapes } from "../../models/encoders/encoder.ts";
import { textShapeOf } from "../../models/families/published.ts";
import { readPartConfig } from "../../models/published/folder.ts";
import { readConfig } from "../../models/published/network.ts";
import { fromChannelsFirst, toChannelsFirst } from "../../models/published/torch.ts";
import { embeddingParts } from "../../models/text/embedding.ts";
import type { Safetensors } from "../../models/weights/safetensors.ts";
import type { DenoiserDescription, DenoiserSpec } from "../../schemas/model.ts";
import { forwardOf } from "./forward.ts";
import { differenceOf, type Parity, readAbout, readGolden, tensorOf } from "./golden.ts";
import { readPart } from "./part.ts";
import { readPublishedTeacher } from "./teacher.ts";
import { openTextEncoders } from "./text.ts";

const entrySchema = z.looseObject({
  name: z.string(),
  what: z.string().default(""),
  scheduler: z.string().optional(),
  scheduler_config: z.looseObject({}).default({}),
  num_inference_steps: z.int(),
  noise: z.string(),
  /** Unit noise that each step adds, of schedulers that add some. */
  added: z.string().optional(),
  steps: z.string().optional(),
  latents: z.string(),
  class_labels: z.array(z.int()).optional(),
  prompt: z.string().optional(),
  negative_prompt: z.string().nullish(),
  guidance_scale: z.number().default(1),
  true_cfg_scale: z.number().default(1),
  guidance_rescale: z.number().default(0),
  max_sequence_length: z.int().optional(),
  original_size: z.tuple([z.int(), z.int()]).optional(),
  crops_coords_top_left: z.tuple([z.int(), z.int()]).default([0, 0]),
});
type Entry = z.infer<typeof entrySchema>;

const goldenSchema = z.looseObject({
  prompts: z.record(z.string(), z.string()).default({}),
  trajectories: z.array(entrySchema).default([]),
});

/** The share of the largest element that may differ. */
const TOLERANCE = 1e-3;

/** What one run is made from. */
interface Run {
  folder: string;
  path: string;
  entry: Entry;
  engine: Engine;
  teacher: { description: DenoiserDescription; weights: Weights };
  tensors: Safetensors["tensors"];
  prompts: Record<string, string>;
}

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
  const { network, diffusion, shape, ...rest } = description.spec;
  const [, channels, height, width] = tensorOf(tensors, entry.noise, path).shape as [number, number, number, number];
  const { text, pixels } = network;
  const factor = pixels ? pixels[0] / shape[0] : 1;
  const length = entry.max_sequence_length; // of the last encoder, T5
  const lengths = text?.lengths.map((own, i) => (i === text.lengths.length - 1 ? (length ?? own) : own)) ?? [];
  return {
    ...rest,
    shape: [height, width, channels],
    network: { ...network, ...(pixels && { pixels: [height * factor, width * factor] }), ...(text && { text: { ...text, lengths } }) },
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
  const states: Float32Array[] = [];
  const latents = await walk({
    start: noise.data.map((n) => n * schedule.start),
    inputs: given.values,
    noise: (i) => added[i],
    before: async (i, read) => {
      if (i > 0) states.push((await read()).map((x) => x * (schedule.scales?.[i] ?? 1)));
    },
  });
  return { states: [...states, latents], latents };
}

/** What the network is told of each row, twice as many where it is guided: those without their condition come last. */
interface Given {
  inputs: InputShapes;
  values: Record<string, InputArray>;
  embedded: (inputs: Record<string, Tensor>) => Embedded;
}

async function conditionsOf(options: Run & { spec: DenoiserSpec; isGuided: boolean; rows: number }): Promise<Given> {
  const { entry, spec, isGuided, rows } = options;
  const { classes, network, shape } = spec;
  const copies = isGuided ? 2 : 1;
  const given: Given = { inputs: {}, values: {}, embedded: () => ({}) };
  const tell = (name: string, sides: readonly number[], data: InputArray): void => {
    given.inputs[name] = { shape: [rows * copies, ...sides], ...(data instanceof Int32Array && { dtype: "int32" }) };
    given.values[name] = data;
  };
  const labels = labelsOf(entry);
  if (classes.length > 0)
    tell(
      "label",
      [],
      Int32Array.from({ length: rows * copies }, (_, i) => labels[i] ?? classes.length),
    );
  if (takesGuidance(spec)) tell("guidance", [], new Float32Array(rows * copies).fill(entry.guidance_scale));
  if (entry.original_size) {
    const [height, width] = network.pixels ?? shape;
    const told = [...entry.original_size, ...entry.crops_coords_top_left, height, width];
    tell(
      "size",
      [told.length],
      Float32Array.from({ length: rows * copies * told.length }, (_, i) => told[i % told.length] as number),
    );
  }
  const text = textShapeOf(spec);
  if (text && network.text) {
    const encoders = await openTextEncoders({ ...options, lengths: network.text.lengths, shape: text });
    const prompt = await encoders.embed(options.prompts[entry.prompt ?? ""] ?? "");
    const both = isGuided ? [prompt, await encoders.negative(entry.negative_prompt ?? undefined)] : [prompt];
    for (const { name, from, size, shape: sides } of embeddingParts(text)) {
      const values = both.flatMap((row) => new Array<Float32Array>(rows).fill(row.subarray(from, from + size)));
      tell(name, sides, Float32Array.from(values.flatMap((row) => [...row])));
    }
  }
  given.embedded = ({ tokens, mask, pooled, ...others }) => ({
    ...others,
    ...(tokens && { sequences: [{ tokens, ...(mask && { mask }) }] }),
    ...(pooled && { vector: pooled }),
  });
  return given;
}

/** The classes of a run's rows; those of EDM, which has no pipeline, stand in words. */
function labelsOf({ class_labels: labels, what }: Entry): readonly number[] {
  const [, words = ""] = /\bclasses ([\d, and]+)/.exec(what) ?? [];
  return labels ?? [...words.matchAll(/\d+/g)].map(([number]) => Number(number));
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
