/** images | ingest | simulate | train, each stage at work on what the one before has already written */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeSceneZip } from "../data/scenes/build.ts";
import { isPixels, isYetToTrain } from "../models/codecs/codecs.ts";
import { isConditional } from "../models/encoders/own.ts";
import type { Context } from "../schemas/events.ts";
import { badUsage, isFailure } from "../schemas/failure.ts";
import { packageRoot } from "../schemas/package.ts";
import { type Settings, trainSettings } from "../schemas/settings.ts";
import { measureEventLoop } from "../stages/flow/event-loop.ts";
import { type Codec, readCodec } from "../stages/runs/model.ts";
import { paintPairs } from "../stages/sample/pairs.ts";
import { waitForStore } from "../store/follow.ts";
import { divideThreads } from "../stages/workers/threads.ts";
import { together } from "../stages/flow/together.ts";
import { evaluate } from "./evaluate.ts";
import { ingest } from "./ingest.ts";
import { pretrain } from "./pretrain.ts";
import { simulate } from "./simulate.ts";
import { judgesFeatures, train } from "./train.ts";

/** Pictures of the built-in set the demo draws and ingests: each of its 2880 scenes once. */
const DEMO_PICTURES = 2880;

/**
 * The whole job in one folder: OUT/latents, OUT/triples, OUT/student and OUT/samples.png. With a teacher given, ingest,
 * simulation and training overlap from the start; without one, the networks are pretrained on the images first. Without
 * images it is the demo: the built-in set and the bundled teacher. Any part that is there already is not made again.
 */
export async function run(options: {
  images: string[];
  out?: string;
  teacher?: string;
  settings: Settings;
  context: Context;
}): Promise<void> {
  const { context } = options;
  const isDemo = options.images.length === 0;
  if (!isDemo && !options.out) throw badUsage("Cannot run without a place for the results: add --out RUN");
  const out = options.out ?? "data/runs/demo";
  const at = (name: string): string => join(out, name);
  const loop = measureEventLoop();

  const images = isDemo ? [await drawScenes(at("scenes.zip"), context)] : options.images;
  const bundled = (name: string): string => fileURLToPath(new URL(`data/demo/${name}`, packageRoot()));
  const prepared = isDemo
    ? { teacher: options.teacher ?? bundled("teacher"), settings: withPerceptual(options.settings, bundled("perceptual")) }
    : options.teacher
      ? { teacher: options.teacher, settings: options.settings }
      : await pretrainAll({ images, at, settings: options.settings, context });
  const { teacher } = prepared;
  const settings = judgedByWhatThereIs(prepared.settings, context);
  const codec: Codec = await readCodec(teacher);

  const threads = divideThreads(settings, { encodes: !isPixels(codec.description.kind) });
  await together(context, [
    async (inner) => {
      await ingest({ images, out: at("latents"), codec, threads: threads.ingest, settings, context: inner });
      threads.ended("ingest");
    },
    async (inner) => {
      await waitForStore(at("latents"), inner);
      await simulate({ teacher, conditions: at("latents"), out: at("triples"), threads: threads.simulate, settings, context: inner });
      threads.ended("simulate");
    },
    async (inner) => {
      await waitForStore(at("triples"), inner);
      await train({
        store: at("triples"),
        teacher,
        out: at("student"),
        threads: threads.train,
        settings: withImages(settings, at("latents")),
        context: inner,
      });
    },
  ]);

  await paintPairs({ path: at("samples.png"), teacher, student: at("student"), settings, context });
  context.report({ type: "result", stage: "run", values: { samples: at("samples.png"), "event loop p99, ms": loop.p99() } });
  await measure({ model: at("student"), teacher, reference: at("latents"), settings, context });
  for (const message of nextSteps(out)) context.report({ type: "note", stage: "next", message });
}

async function drawScenes(path: string, { signal, report }: Context): Promise<string> {
  if (existsSync(path)) return path;
  await writeSceneZip({
    ...{ path, count: DEMO_PICTURES, seed: 0, signal },
    onProgress: ({ done, count }) => report({ type: "progress", stage: "draw", done, total: count, unit: "pictures" }),
  });
  return path;
}

/** Autoencoder (where the settings ask for one and name none), perceptual network and teacher, one after the other. */
async function pretrainAll(options: {
  images: string[];
  at: (name: string) => string;
  settings: Settings;
  context: Context;
}): Promise<{ teacher: string; settings: Settings }> {
  const { images, at, context } = options;
  let settings = options.settings;
  if (isYetToTrain(settings.encoder)) {
    const pixels: Settings = { ...settings, encoder: { ...settings.encoder, kind: "pixel" } };
    await ingest({ images, out: at("pixels"), settings: pixels, context });
    await pretrain({ what: "autoencoder", data: at("pixels"), out: at("autoencoder"), settings, context });
    settings = { ...settings, encoder: { ...settings.encoder, path: at("autoencoder") } };
  }
  await ingest({ images, out: at("latents"), settings, context });
  const isUsed = settings.train.perceptualWeight > 0 || judgesFeatures(settings);
  if (isUsed && !settings.train.perceptual && isConditional(settings.network)) {
    await pretrain({ what: "perceptual", data: at("latents"), out: at("perceptual"), settings, context });
    settings = withPerceptual(settings, at("perceptual"));
  }
  await pretrain({ what: "teacher", data: at("latents"), out: at("teacher"), settings, context });
  return { teacher: at("teacher"), settings };
}

/** Measures where the images are enough for it; too few are no reason to fail a run whose work is done. */
async function measure(options: Parameters<typeof evaluate>[0]): Promise<void> {
  try {
    await evaluate(options);
  } catch (error) {
    if (!isFailure(error)) throw error;
    options.context.report({ type: "warning", stage: "evaluate", message: error.message });
  }
}

function withPerceptual(settings: Settings, perceptual: string): Settings {
  return { ...settings, train: { ...settings.train, perceptual: settings.train.perceptual ?? perceptual } };
}

/** Without a perceptual network (of images with neither classes nor captions) the discriminator starts as the teacher. */
function judgedByWhatThereIs(settings: Settings, context: Context): Settings {
  if (settings.train.perceptual || !judgesFeatures(settings)) return settings;
  const { adversarialWeight, sharpen, discriminatorRate } = trainSettings.parse({}); // a trunk wants less of them than heads do
  const message = `no perceptual network (train.perceptual), so the discriminator starts as the teacher, at weight ${adversarialWeight}`;
  context.report({ type: "note", stage: "train", message });
  return { ...settings, train: { ...settings.train, discriminator: "teacher", adversarialWeight, sharpen, discriminatorRate } };
}

function withImages(settings: Settings, images: string): Settings {
  return { ...settings, train: { ...settings.train, images: settings.train.images ?? images } };
}

function nextSteps(out: string): string[] {
  return [
    `More pictures, one network call each: bin/pipeline sample --model ${join(out, "student")} --count 64 --out grid.png --seed 1`,
    `The triples behind it, as pictures: bin/pipeline inspect ${join(out, "triples")} --rows 5 --grid triples.png`,
    "Your own images: bin/pipeline run photos.zip --preset tiny --out runs/photos",
  ];
}
