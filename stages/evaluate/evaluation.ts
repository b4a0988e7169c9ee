/** An open evaluation: the reference's features once, then any number of models measured against them. */
import { normals } from "../../schemas/numbers/philox.ts";
import type { Context } from "../../schemas/events.ts";
import { Failure } from "../../schemas/failure.ts";
import type { Settings } from "../../schemas/settings.ts";
import type { Measurer } from "../workers/measurer.ts";
import type { Generator } from "../sample/generator.ts";
import type { Picture } from "../../schemas/images.ts";
import { isPublishedTeacher } from "../published/teacher.ts";
import { readCodecDescription, readDenoiser } from "../runs/model.ts";
import { translateLabels } from "../simulate/classes.ts";
import { startWorker } from "../workers/start.ts";
import { type DenoiserSpec, labelsOf } from "../../models/denoiser.ts";
import { type Comparison, requireEnough } from "../../models/metrics/compare.ts";
import { type ReferenceConditions, noting, repeated, under } from "./conditions.ts";
import { createGatherer, type Gathered } from "./gather.ts";
import { createGenerators } from "./generators.ts";
import type { Measures } from "./measures.ts";
import { type CaptionReader, runningObedience } from "./obedience.ts";
import { openReference, type Reference } from "./reference.ts";
import { elements } from "../../engine/weights.ts";

export interface Evaluation {
  reference: Pick<Reference, "size" | "preparation"> & { path: string; count: number };
  network: { name: string; hash: string; dimension: number; size: number; resizeFilter: string };
  /** Feature distance of two real images of the same condition, where there are two of any. */
  diversity: number | undefined;
  /**
   * Samples a model and compares it with the reference, once a seed. `name` is that of its sets, for `against` and
   * `nearest`; `simulate` overrides how a teacher samples, `steps` in how many network calls a student does, so that one
   * model can be measured at several; `only: "distance"` leaves the rest out.
   */
  measure: (options: {
    name: string;
    path: string;
    simulate?: Partial<Settings["simulate"]>;
    steps?: number;
    only?: "distance";
  }) => Promise<Measures>;
  /** One measured model against another, made from the same noise and conditions. */
  against: (options: { name: string; other: string; subject: string }) => Promise<Measures>;
  /** Half of the reference against the other half; undefined where the halves are too small for the features. */
  floor: () => Promise<Measures | undefined>;
  /** Plain noise in a model's latent space, decoded: what a model that learned nothing but the decoder would get. */
  ceiling: (path: string) => Promise<Measures>;
  /** The first `count` samples of a measured model, and of each the three nearest images of the reference. */
  neighbours: (options: { name: string; path: string; count: number; steps?: number }) => Promise<Neighbours>;
  /** The reference's images once more, in the order of its indices. */
  images: () => AsyncIterable<Gathered>;
  /** Ends the model's workers, which otherwise wait for more of the same model. */
  rest: () => Promise<void>;
  close: () => Promise<void>;
}

export interface Neighbours {
  samples: Picture[];
  nearest: { index: Int32Array; distance: Float64Array }; // [count * 3], nearest first
}

/**
 * Reads the reference (`evaluate.reference`: all of it, or `evaluate.count` images) and measures its features. Images are brought to
 * `images.size`, or to the size of the first model's pictures where those are no squares. Throws a
 * Failure where there are fewer images than the feature network needs.
 */
export async function openEvaluation(options: {
  reference: string;
  /** Models that will be measured: their classes are looked at before anything is. */
  models?: readonly string[];
  /** Priors of those that draw from tokens, by model. */
  priors?: Readonly<Record<string, string>>;
  /** Tells how captions are obeyed, where it can read them. */
  captionReader?: CaptionReader;
  settings: Settings;
  context: Context;
}): Promise<Evaluation> {
  const { settings, context } = options;
  const { count, features, batch } = settings.evaluate;
  const seeds = Array.from({ length: settings.evaluate.seeds }, (_, i) => settings.seed + i);
  const [own] = options.models ?? [];
  const size = own === undefined || isPublishedTeacher(own) ? undefined : (await readCodecDescription(own)).imageSize;
  const opening = { path: options.reference, settings, signal: context.signal, ...(typeof size !== "number" && { size }) };
  const reference = await openReference(opening);
  for (const message of reference.omissions) context.report({ type: "warning", stage: "evaluate", message });
  for (const path of options.models ?? []) askedOf((await readDenoiser(path)).description.spec, path);
  const measurer = await startWorker<Measurer>({
    name: "measurer",
    module: new URL("../workers/measurer.ts", import.meta.url),
    remedy: "lower evaluate.batch",
    options: { features, imageSize: reference.size, batch, engine: settings.engine },
    signal: context.signal,
  });
  const generators = createGenerators({ context, size, priors: options.priors });
  const gather = createGatherer({ measurer, reference: { path: options.reference, size: reference.size }, batch, report: context.report });
  const isWhole = settings.evaluate.reference === "whole";
  const setOf = (name: string, seed: number) => `${name} of seed ${seed}`;

  /** The reference's labels as the same classes' of a model, matched by name. */
  function askedOf(spec: DenoiserSpec, path: string): (labels: readonly number[]) => number[] {
    const own = labelsOf(spec);
    if (own.length === 0) return (labels) => [...labels];
    const remedy = "Name a reference of the model's classes, or images without class folders.";
    return translateLabels({ names: reference.classes, own, attempt: `compare ${path} with ${options.reference}`, remedy });
  }

  async function comparisons(make: (seed: number) => Promise<Comparison>): Promise<Measures["seeds"]> {
    const found: Measures["seeds"] = [];
    for (const seed of seeds) found.push({ seed, ...(await make(seed)) });
    return found;
  }

  async function start() {
    const network = await measurer.call("network", undefined);
    requireEnough({ count, network });
    const conditions: ReferenceConditions = { labels: [], captions: [] };
    const pictures = isWhole ? reference.all() : reference.draw(count);
    const total = isWhole ? reference.available : count;
    const { done } = await gather({ set: "reference", pictures: noting(pictures, conditions), total });
    if (!isWhole && done < count) {
      throw new Failure(`Cannot compare ${count} images with ${options.reference}: it holds ${done}; lower evaluate.count to that`);
    }
    requireEnough({ count: done, network, of: options.reference });
    return { network, conditions: repeated(conditions, count), done, diversity: await measurer.call("diversity", "reference") };
  }

  const { network, conditions, done, diversity } = await start().catch(async (error) => {
    await measurer.close();
    throw error;
  });

  /** The reference's conditions as a model takes them. */
  function asked({ description, path }: Generator): ReferenceConditions {
    return { ...conditions, labels: askedOf(description.spec, path)(conditions.labels) };
  }

  /** Samples of one seed, compared. The set of the last run under that name is forgotten. */
  async function compareSamples(generator: Generator, name: string, seed: number, only?: "distance") {
    const set = setOf(name, seed);
    await measurer.call("forget", set);
    const images = generator.sample({ seed, start: 0, count, ...asked(generator) });
    const obeying = options.captionReader && runningObedience(options.captionReader);
    const { seconds } = await gather({ set, pictures: under(images, conditions), total: count, obedience: obeying });
    const sets = { generated: set, reference: "reference" };
    if (only === "distance") return { frechetDistance: await measurer.call("distance", sets), seconds };
    const comparison = await measurer.call("compare", sets);
    const [spread, obedience] = [await measurer.call("diversity", set), obeying?.result()];
    return { ...comparison, seconds, ...(spread !== undefined && { diversity: spread }), ...(obedience && { obedience }) };
  }

  const { preparation } = reference;
  return {
    reference: { path: options.reference, count: done, size: reference.size, preparation },
    network,
    diversity,
    measure: async ({ name, path, simulate, steps, only }) => {
      const generator = await generators.open({ ...settings, simulate: { ...settings.simulate, ...simulate } }, path, steps);
      const measured: Measures["seeds"] = [];
      for (const seed of seeds) measured.push({ seed, ...(await compareSamples(generator, name, seed, only)) });
      const { kind, nfe: evaluations, priorCalls, description } = generator;
      return {
        subject: `${kind}, ${evaluations} NFE${priorCalls === undefined ? "" : ` after ${priorCalls} of its prior`}`,
        role: kind,
        path,
        hash: description.hash,
        preparation,
        evaluations,
        ...(priorCalls !== undefined && { priorEvaluations: priorCalls }),
        seeds: measured,
      };
    },
    against: async ({ name, other, subject }) => ({
      subject,
      role: "pair",
      preparation: "generated from the same noise",
      seeds: await comparisons((seed) => measurer.call("compare", { generated: setOf(name, seed), reference: setOf(other, seed) })),
    }),
    floor: async () => {
      if (Math.floor(done / 2) <= network.dimension) return undefined;
      const seeds = await comparisons((seed) => measurer.call("compareHalves", { set: "reference", seed }));
      return { subject: "floor: real against other real images", role: "floor", preparation, seeds };
    },
    ceiling: async (path) => {
      const generator = await generators.open(settings, path);
      const [set, seed] = ["noise", settings.seed];
      await gather({ set, pictures: decodedNoise(generator, { seed, count, batch }), total: count });
      const comparison = await measurer.call("compare", { generated: set, reference: "reference" });
      await measurer.call("forget", set);
      return { subject: "ceiling: decoded noise", role: "ceiling", preparation, seeds: [{ seed, ...comparison }] };
    },
    neighbours: async ({ name, path, count: wanted, steps }) => {
      const count = Math.min(wanted, settings.evaluate.count);
      const nearest = await measurer.call("nearest", { generated: setOf(name, seeds[0]!), reference: "reference", count });
      const generator = await generators.open(settings, path, steps);
      const samples: Picture[] = [];
      for await (const picture of generator.sample({ seed: seeds[0]!, count, ...asked(generator) })) samples.push(picture);
      return { samples, nearest };
    },
    images: async function* () {
      if (isWhole) return yield* reference.all();
      const again = await openReference(opening);
      yield* again.draw(count);
    },
    rest: generators.close,
    close: async () => {
      await Promise.all([generators.close(), measurer.close()]);
    },
  };
}

/** Pictures of latents that are standard normal in the model's own scale, so of the data's mean and deviation. */
async function* decodedNoise(generator: Generator, { seed, count, batch }: { seed: number; count: number; batch: number }) {
  const { spec } = generator.description;
  const length = elements(spec.shape);
  for (let from = 0; from < count; from += batch) {
    const rows = Math.min(batch, count - from);
    const noise = normals({ seed, stream: "evaluate/noise", offset: from * length, length: rows * length });
    yield* await generator.decode(noise.map((value) => value * spec.diffusion.sigmaData));
  }
}
