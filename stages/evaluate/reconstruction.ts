/**
 * What becomes of images that are drawn again from their own tokens: by the tokenizer's own decoder, and by a student under
 * control in each number of network calls. Pictures pass in batches; none of them stay.
 */
import { allowedSteps } from "../../models/diffusion/sampler-plan.ts";
import { fewestImages, type Named } from "../../models/metrics/compare.ts";
import type { PairMeasures } from "../../models/metrics/pairs.ts";
import type { Context } from "../../schemas/events.ts";
import { badUsage, Failure } from "../../schemas/failure.ts";
import { type Picture, pixelsOf } from "../../schemas/images.ts";
import type { LatentManifest } from "../../schemas/manifest.ts";
import { permutation } from "../../schemas/numbers/philox.ts";
import type { Settings } from "../../schemas/settings.ts";
import { openLatentStore, readLatents, stacked } from "../../store/rows/latents.ts";
import { normalise } from "../../store/records/statistics.ts";
import type { Store } from "../../store/shards/store.ts";
import { type Denoiser, readCodecDescription, readDenoiser } from "../runs/model.ts";
import { openConditions } from "../sample/conditions.ts";
import { type Codes, openCodes } from "../sample/codes.ts";
import { type Drawing, openDrawing } from "../sample/drawing.ts";
import { openStoresTokenizer } from "../sample/tokenizer.ts";
import type { Measurer } from "../workers/measurer.ts";
import { startWorker } from "../workers/start.ts";
import { planSteps } from "./steps.ts";

/** What was measured of one way to draw images again, with the noise of one seed. */
export interface Rebuilt extends PairMeasures {
  seed: number;
  /** Of all pictures drawn again against the images themselves; absent where those are too few for the features. */
  frechetDistance?: number;
}

/** One way to draw images again. */
export interface Way {
  subject: string;
  /** Network calls of the student; the tokenizer's own decoder takes none. */
  evaluations: number;
  seeds: Rebuilt[];
}

export interface Reconstruction {
  model: Denoiser;
  /** Numbers of network calls to be measured. */
  steps: number[];
  reference: { path: string; fingerprint: string; count: number };
  network: Awaited<ReturnType<Measurer["network"]>>;
  /** The ways to draw `images` again: their pictures, a line a way, the images themselves first. */
  lines: (images: number) => Promise<{ label: string; pictures: Picture[] }[]>;
  /** Measures one way after the other: the tokenizer's own decoder first. */
  measure: () => AsyncGenerator<Way>;
  close: () => Promise<void>;
}

/** Latents in the model's scale, with the number of the first. */
interface Part {
  latents: Float32Array;
  from: number;
  count: number;
}

/**
 * Opens a student and the images of a latent store: `evaluate.count` of them, in an order that the seed alone decides. `steps`
 * lists numbers of network calls: the fewest and the student's own unless told. Throws a Failure where the student draws from no
 * tokens or the store has other latents.
 */
export async function openReconstruction(options: {
  path: string;
  reference: string;
  steps?: string;
  settings: Settings;
  context: Context;
}): Promise<Reconstruction> {
  const { path, settings, context } = options;
  const { engine, evaluate, seed, simulate } = settings;
  const { features, batch } = evaluate;
  const model = await readDenoiser(path, context);
  const { description } = model;
  if (!description.spec.network.control) {
    throw badUsage(`Cannot draw images again with ${path}: it reads no tokens. Name a student that was trained by layton.`);
  }
  const store = await latentsOf({ path, reference: options.reference, description });
  const steps = stepsOf({ path, model, list: options.steps, settings });
  const codec = await readCodecDescription(path);
  const chosen = new Set(permutation({ seed, stream: "evaluate/reference", length: store.manifest.entries }).subarray(0, evaluate.count));
  const measurer = await startWorker<Measurer>({
    name: "measurer",
    module: new URL("../workers/measurer.ts", import.meta.url),
    remedy: "lower evaluate.batch",
    options: { features, imageSize: codec.imageSize, batch, engine },
    signal: context.signal,
  });
  const conditions = openConditions({ description, choice: simulate, engine, signal: context.signal });
  const codes = openCodes(conditions, () => openStoresTokenizer({ folder: path, engine, context }));
  const ways = [0, ...steps]; // 0: the tokenizer's own decoder
  let held: { calls: number; drawing: Drawing } | undefined;

  /** The student in so many calls; one at a time. */
  async function drawingIn(calls: number): Promise<Drawing> {
    if (held?.calls === calls) return held.drawing;
    await held?.drawing.close();
    held = undefined;
    const drawing = await openDrawing({ path, model, settings, context, batch: simulate.batch, steps: calls });
    held = { calls, drawing };
    return drawing;
  }

  const parts = (most?: number): AsyncGenerator<Part> => partsOf({ store, chosen, description, batch: simulate.batch, most });

  /** The images drawn again in so many calls, by the noise of one seed, against themselves: the first way makes their set. */
  async function rebuilt(calls: number, seed: number): Promise<Rebuilt> {
    const name = `${calls} calls of seed ${seed}`;
    const stage = calls === 0 ? "reconstruct, tokenizer" : `reconstruct, ${calls} NFE`;
    const drawing = await drawingIn(calls || (steps[0] as number));
    let done = 0;
    for await (const part of parts()) {
      const a = pixelsOf(await drawing.decode(await again({ part, calls, drawing, codes, seed })));
      const b = pixelsOf(await drawing.decode(part.latents));
      const conditions = new Array<string>(part.count).fill("");
      if (calls === ways[0]) await measurer.call("addAll", { set: "images", pixels: b, conditions });
      await measurer.call("addAll", { set: name, pixels: a, conditions });
      await measurer.call("pair", { name, a, b });
      done += part.count;
      context.report({ type: "progress", stage, done, total: chosen.size, unit: "images" });
    }
    if (done === 0) throw new Failure(`Cannot draw images of ${options.reference} again: every image in it was rejected.`);
    const pairs = await measurer.call("pairMeasures", name);
    const distance = isEnough(done, found) && (await measurer.call("distance", { generated: name, reference: "images" }));
    await measurer.call("forget", name);
    return { seed, ...(distance !== false && { frechetDistance: distance }), ...pairs };
  }

  const close = async (): Promise<void> => {
    await Promise.all([measurer.close(), codes.close(), conditions.close(), held?.drawing.close()]);
  };
  const found = await measurer.call("network", undefined).catch(async (error) => {
    await close();
    throw error;
  });
  return {
    model,
    steps,
    network: found,
    close,
    reference: { path: options.reference, fingerprint: store.fingerprint, count: Math.min(chosen.size, store.manifest.entries) },
    lines: async (images) => {
      const lines: { label: string; pictures: Picture[] }[] = [];
      for (const calls of [undefined, ...ways]) {
        const drawing = await drawingIn(calls || (steps[0] as number));
        const pictures: Picture[] = [];
        for await (const part of parts(images)) {
          const latents = calls === undefined ? part.latents : await again({ part, calls, drawing, codes, seed });
          pictures.push(...(await drawing.decode(latents)));
        }
        lines.push({ label: calls === undefined ? "image" : calls === 0 ? "tokenizer" : `${calls} NFE`, pictures });
      }
      return lines;
    },
    measure: async function* () {
      for (const calls of ways) {
        const seeds: Rebuilt[] = [];
        // The tokenizer's decoder, which comes first, takes no noise: one seed is as good as any other.
        const repeats = calls === 0 ? 1 : evaluate.seeds;
        for (let i = 0; i < repeats; i++) seeds.push(await rebuilt(calls, seed + i));
        yield { subject: calls === 0 ? "the tokenizer's own decoder" : `student, ${calls} NFE`, evaluations: calls, seeds };
      }
    },
  };
}

/** The chosen images of a store in batches, `most` of them in all. */
async function* partsOf(options: {
  store: Store<LatentManifest>;
  chosen: ReadonlySet<number>;
  description: Denoiser["description"];
  batch: number;
  most?: number | undefined;
}): AsyncGenerator<Part> {
  const { store, chosen, description, batch, most = Number.POSITIVE_INFINITY } = options;
  let [from, latents] = [0, [] as Float32Array[]];
  const part = (): Part => {
    const scaled = normalise(stacked(latents), description.statistics, description.spec.diffusion.sigmaData);
    return { latents: scaled, from, count: latents.length };
  };
  for await (const { index, latent } of readLatents(store)) {
    if (from + latents.length >= most) break;
    if (!chosen.has(index)) continue;
    latents.push(latent);
    if (latents.length < batch) continue;
    yield part();
    from += latents.length;
    latents = [];
  }
  if (latents.length > 0) yield part();
}

/** Latents drawn again from the tokens of others. */
async function again(options: { part: Part; calls: number; drawing: Drawing; codes: Codes; seed: number }): Promise<Float32Array> {
  const { part, calls, drawing, codes, seed } = options;
  if (calls === 0) return codes.decoded(part.latents);
  return drawing.latents({ seed, start: part.from, count: part.count }, await codes.ofLatents(part.latents));
}

/** Whether so many images give a Fréchet distance in these features. */
export const isEnough = (count: number, network: Named): boolean => count >= fewestImages(network.dimension);

/** The store of images to draw again. Throws a Failure where its latents are not the student's. */
async function latentsOf(options: { path: string; reference: string; description: Denoiser["description"] }) {
  const { path, reference, description } = options;
  const store: Store<LatentManifest> = await openLatentStore({ folder: reference });
  const { encoder, shape } = store.manifest;
  const codec = await readCodecDescription(path);
  if (encoder.kind === codec.kind && encoder.hash === codec.hash && String(shape) === String(description.spec.shape)) return store;
  throw new Failure(
    `Cannot draw the images of ${reference} again with ${path}: their latents are ${shape.join("x")} of ${encoder.kind} ` +
      `${encoder.hash.slice(0, 12)}, the student's ${description.spec.shape.join("x")} of ${codec.kind} ${codec.hash.slice(0, 12)}. ` +
      "Name latents of the codec it was trained on.",
  );
}

/** The numbers of calls asked for; else the fewest, and that which the student was trained for. */
function stepsOf(options: { path: string; model: Denoiser; list?: string; settings: Settings }): number[] {
  const { path, model, list, settings } = options;
  const { description } = model;
  if (list !== undefined) return planSteps({ list, model: description, name: path, simulate: settings.simulate });
  const [allowed, own] = [allowedSteps(description), description.sampler?.times];
  return allowed === "any" ? [1, 2] : [...new Set([allowed[0] as number, Array.isArray(own) ? own.length : 1])];
}
