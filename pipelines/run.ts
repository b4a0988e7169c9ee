/**
 * pipeline run [IMAGES...] [--out RUN] [--teacher RUN] [--method NAME]
 *
 * images | ingest | simulate | train, each stage at work on what the one before has already written
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeSceneZip } from "../data/scenes/build.ts";
import { methodNamed, optimiserOf, ownSettings } from "../methods/registry.ts";
import { isPixels, isYetToTrain } from "../models/codecs/codecs.ts";
import { isConditional } from "../models/encoders/own.ts";
import type { Context } from "../schemas/events.ts";
import { badUsage, isFailure } from "../schemas/failure.ts";
import { sidesOf } from "../schemas/images.ts";
import { packageRoot } from "../schemas/package.ts";
import type { Settings } from "../schemas/settings.ts";
import { measureEventLoop } from "../stages/flow/event-loop.ts";
import { together } from "../stages/flow/together.ts";
import { markFolder } from "../stages/runs/folder.ts";
import { inPlaceOf, type Push, type Workplace } from "../stages/runs/mirror.ts";
import { type Codec, readCodec, readDenoiser } from "../stages/runs/model.ts";
import { drawPairs } from "../stages/sample/pairs.ts";
import type { ImageSource } from "../stages/ingest/images.ts";
import { checkConditions, checkRun } from "../stages/train/prepare/ready.ts";
import { divideThreads } from "../stages/workers/threads.ts";
import { waitForStore } from "../store/rows/follow.ts";
import { within } from "../store/places/place.ts";
import type { Work } from "../store/making/work.ts";
import { evaluate } from "./evaluate.ts";
import { exportSiteOf } from "./export-web.ts";
import { ingest } from "./ingest.ts";
import { pretrain } from "./pretrain.ts";
import { reconstruct } from "./reconstruct.ts";
import { simulate } from "./simulate.ts";
import { train } from "./train.ts";

/** Pictures of the built-in set the demo draws and ingests: each of its 2880 scenes once. */
const DEMO_PICTURES = 2880;

/**
 * The whole job in one folder: OUT/latents, OUT/triples, OUT/student and OUT/samples.png. With a teacher given, ingest,
 * simulation and training overlap from the start; without one, the networks are pretrained on the images first. Without
 * images it is the demo: the built-in set and the bundled teacher, and OUT/site at its end. Any part that is there already is
 * not made again, but with `repair` the damaged shards of its stores, one stage after the other. Under a URL the stores are made there,
 * and the rest in a folder that stands for it, which is sent after each checkpoint.
 */
export async function run(options: {
  images: string[];
  out?: string;
  teacher?: string;
  repair?: boolean;
  settings: Settings;
  context: Context;
}): Promise<void> {
  if (options.repair && options.settings.simulate.lead !== undefined) {
    throw badUsage("Cannot use --repair with simulate.lead: no stage of a repair waits for a later one. Leave simulate.lead out");
  }
  const isDemo = options.images.length === 0;
  if (!isDemo && !options.out) throw badUsage("Cannot run without a place for the results: add --out RUN");
  const how = { out: options.out ?? "data/runs/demo", kind: "job", command: "run", parts: PARTS, except: STORES } as const;
  await inPlaceOf({ ...how, context: options.context }, (place) => runIn({ ...options, ...place }));
}

/** Folders of a run's parts: stores, which under a URL lie there themselves, and networks, which are sent there. */
const STORES = ["latents", "triples", "pixels"];
const PARTS = [...STORES, "student", "site", "teacher", "autoencoder", "perceptual", "tokenizer"];

async function runIn(options: Parameters<typeof run>[0] & Workplace): Promise<void> {
  const { out, place = out, push, repair = false, context } = options;
  const work = { repair };
  const isDemo = options.images.length === 0;
  const parts = isDemo ? withDetails(context) : context;
  const at = (name: string): string => within(STORES.includes(name) ? place : out, name);
  const loop = measureEventLoop();
  const bundled = (name: string): string => fileURLToPath(new URL(`data/demo/${name}`, packageRoot()));
  const teacherGiven = options.teacher ?? (isDemo ? bundled("teacher") : undefined);
  const own = isDemo && !options.teacher ? await settingsOfDemo(options.settings, bundled("teacher"), context) : options.settings;
  const given = isDemo ? withPerceptual(own, bundled("perceptual")) : own;
  await checkRun(given, teacherGiven);
  const needs = frozenNeeds(given);
  await markFolder(out, { kind: "job" });

  const images = isDemo ? [await drawScenes(at("scenes.zip"), context)] : options.images;
  const prepared = teacherGiven
    ? { teacher: teacherGiven, settings: given }
    : await pretrainAll({ images, out, at, push, work, settings: given, usesPerceptual: needs.uses, context });
  const { teacher, settings } = prepared;
  const codec: Codec = await readCodec(teacher, context);

  const threads = divideThreads(settings, { encodes: !isPixels(codec.description.kind) });
  const [ingested, simulated] = [deferred(), deferred()];
  let isReading = true; // simulation with a lead need not outlast the training
  await together(parts, [
    async (inner) => {
      if (teacherGiven)
        await ingest({ images, out: at("latents"), results: out, codec, threads: threads.ingest, work, settings, context: inner });
      threads.ended("ingest");
      ingested.resolve();
    },
    async (inner) => {
      if (needs.rows !== "triples") {
        simulated.resolve();
        return threads.ended("simulate");
      }
      await (repair ? untilAborted(ingested.promise, inner.signal) : waitForStore(at("latents"), inner));
      const conditions = settings.simulate.prompts === undefined ? at("latents") : undefined;
      await simulate({
        ...{ teacher, conditions, out: at("triples"), threads: threads.simulate, work, settings, context: inner },
        isReading: () => isReading,
      });
      simulated.resolve();
      threads.ended("simulate");
    },
    async (inner) => {
      if (repair) await untilAborted(Promise.all([ingested.promise, simulated.promise]), inner.signal);
      let known = settings;
      if (needs.isRequired && !settings.train.perceptual) {
        await untilAborted(ingested.promise, inner.signal); // a perceptual network is trained on all images
        await pretrain({ what: "perceptual", data: at("latents"), out: at("perceptual"), push, settings, context: inner });
        known = withPerceptual(settings, at("perceptual"));
      }
      if (needs.tokenizes && !known.train.tokenizer) {
        await untilAborted(ingested.promise, inner.signal); // and so is a tokenizer
        await pretrain({ what: "tokenizer", data: at("latents"), out: at("tokenizer"), push, settings: known, context: inner });
        known = { ...known, train: { ...known.train, tokenizer: at("tokenizer") } };
      }
      const triples = needs.rows === "triples" ? at("triples") : undefined;
      await waitForStore(triples ?? at("latents"), inner);
      await train({
        store: triples,
        teacher,
        out: at("student"),
        place: within(place, "student"),
        push,
        threads: threads.train,
        repair,
        settings: withImages(known, at("latents")),
        context: inner,
      });
      isReading = false;
    },
  ]);

  context.report({ type: "result", stage: "run", values: { "event loop p99, ms": loop.p99() }, isDetail: true });
  if ((await readDenoiser(at("student"))).description.spec.network.control) {
    // What draws from tokens is seen and measured on images' own; others are drawn once there is a prior.
    await reconstruct({ model: at("student"), reference: at("latents"), grid: at("samples.png"), settings, context });
    context.report({ type: "result", stage: "run", values: { samples: at("samples.png") } });
    for (const message of stepsToPrior(out)) context.report({ type: "note", stage: "next", message });
    return;
  }
  const calls = await drawPairs({ path: at("samples.png"), teacher, student: at("student"), settings, context });
  const evaluations = `${calls.student} an image by the student, ${calls.teacher} by the teacher`;
  context.report({ type: "result", stage: "run", values: { samples: at("samples.png"), evaluations } });
  await measure({ model: at("student"), teacher, reference: at("latents"), settings, context });
  const page = isDemo ? await exportSiteOf({ out, teacher, settings, context }) : at("student");
  const [first, ...more] = nextSteps(out, page);
  context.report({ type: "note", stage: "next", message: first! });
  for (const message of more) parts.report({ type: "note", stage: "next", message });
}

/** Whatever preset the demo is tried with, its pictures are of the size that its teacher knows, and encoded as that was trained. */
async function settingsOfDemo(settings: Settings, teacher: string, { report }: Context): Promise<Settings> {
  const { kind, imageSize: size } = (await readCodec(teacher)).description;
  const imageSize = Math.max(...sidesOf(size)); // it is a square
  if (imageSize !== settings.images.size) {
    const message = `images.size=${settings.images.size} has no effect: the demo's teacher and autoencoder are for ${imageSize} px`;
    report({ type: "warning", stage: "run", message });
  }
  return {
    ...settings,
    images: { ...settings.images, size: imageSize },
    encoder: { ...settings.encoder, kind: kind as Settings["encoder"]["kind"] },
  };
}

async function drawScenes(path: string, { signal, report }: Context): Promise<string> {
  if (existsSync(path)) return path;
  await writeSceneZip({
    path,
    count: DEMO_PICTURES,
    seed: 0,
    signal,
    onProgress: ({ done, count }) => report({ type: "progress", stage: "draw", done, total: count, unit: "pictures" }),
  });
  return path;
}

/** Autoencoder (where the settings ask for one and name none), perceptual network and teacher, one after the other. */
async function pretrainAll(options: {
  images: string[];
  out: string;
  at: (name: string) => string;
  push: Push | undefined;
  work: Work;
  settings: Settings;
  usesPerceptual: boolean;
  context: Context;
}): Promise<{ teacher: string; settings: Settings }> {
  const { images, out, at, push, work, usesPerceptual, context } = options;
  let settings = options.settings;
  const accept = (source: ImageSource) => checkConditions(source, { images, network: settings.network });
  if (isYetToTrain(settings.encoder)) {
    const pixels: Settings = { ...settings, encoder: { ...settings.encoder, kind: "pixel" } };
    await ingest({ images, out: at("pixels"), results: out, work, accept, settings: pixels, context });
    await pretrain({ what: "autoencoder", data: at("pixels"), out: at("autoencoder"), push, settings, context });
    settings = { ...settings, encoder: { ...settings.encoder, path: at("autoencoder") } };
  }
  await ingest({ images, out: at("latents"), results: out, work, accept, settings, context });
  if (usesPerceptual && !settings.train.perceptual && isConditional(settings.network)) {
    await pretrain({ what: "perceptual", data: at("latents"), out: at("perceptual"), push, settings, context });
    settings = withPerceptual(settings, at("perceptual"));
  }
  await pretrain({ what: "teacher", data: at("latents"), out: at("teacher"), push, settings, context });
  return { teacher: at("teacher"), settings };
}

/** A context in which results and notes are details: whoever first tries onestep sees the end of it on one screen. */
function withDetails(context: Context): Context {
  const report: Context["report"] = (event) =>
    context.report(event.type === "result" || event.type === "note" ? { ...event, isDetail: true } : event);
  return { ...context, report };
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

/** What the method wants of networks that a run can train for it. */
function frozenNeeds({ train }: Settings) {
  const method = methodNamed(train.method);
  const needs = method.needs(ownSettings(method, train), optimiserOf(train));
  const isRequired = needs.frozen.includes("perceptual");
  const uses = isRequired || (needs.uses ?? []).includes("perceptual");
  return { rows: needs.rows, isRequired, uses, tokenizes: needs.frozen.includes("tokenizer") };
}

function withImages(settings: Settings, images: string): Settings {
  return { ...settings, train: { ...settings.train, images: settings.train.images ?? images } };
}

function nextSteps(out: string, page: string | undefined): string[] {
  return [
    ...(page === undefined ? [] : [`Draw with it in the browser: bin/pipeline serve ${page}`]),
    `More pictures: bin/pipeline sample --model ${join(out, "student")} --count 64 --out grid.png --seed 1`,
    `The triples behind it, as pictures: bin/pipeline inspect ${join(out, "triples")} --rows 5 --grid triples.png`,
    "Your own images: bin/pipeline run photos.zip --preset tiny --out runs/photos",
  ];
}

/** From a student that draws images' own tokens to one that draws new ones. */
function stepsToPrior(out: string): string[] {
  const at = (name: string): string => join(out, name);
  return [
    `Tokens: bin/pipeline tokenize --data ${at("latents")} --tokenizer ${at("tokenizer")} --out ${at("tokens")}`,
    `Which of them come next: bin/pipeline pretrain prior --data ${at("tokens")} --out ${at("prior")}`,
    `New pictures: bin/pipeline sample --model ${at("student")} --prior ${at("prior")} --count 64 --out grid.png`,
  ];
}

/** A promise that is resolved from outside. */
function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/** Waits for a promise, or throws the signal's reason when that comes first. */
async function untilAborted(promise: Promise<unknown>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await Promise.race([
    promise,
    new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true })),
  ]);
}
