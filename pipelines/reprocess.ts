/**
 * pipeline reprocess STORE [IMAGES...] --to NEW [--repair] [--dry-run]
 *
 * store | what the new settings leave as it is, and the rest made anew | another store
 */
import { resolve } from "node:path";
import { isPixels } from "../models/codecs/codecs.ts";
import { solverFor, trajectoryOf } from "../models/diffusion/plan-schedule.ts";
import type { Context } from "../schemas/events.ts";
import { badUsage, Failure } from "../schemas/failure.ts";
import { version } from "../schemas/package.ts";
import type { Settings } from "../schemas/settings.ts";
import { differingKeys, type LatentManifest, shardFormatOf, type TripleManifest } from "../schemas/manifest.ts";
import { bytesInWords, durationInWords } from "../schemas/words.ts";
import { latentSettings, tripleSettings, writeDescriptions } from "../stages/runs/store-settings.ts";
import { projectedBytes } from "../stages/doctor/projection.ts";
import { secondsPerTriple } from "../stages/doctor/timing.ts";
import { writeLatentShards } from "../stages/encode/encode.ts";
import { fillTriples } from "../stages/simulate/fill-triples.ts";
import { drain, pull, stage } from "../stages/flow/mod.ts";
import { openImages } from "../stages/ingest/images.ts";
import { inFolder } from "../stages/runs/folder.ts";
import { openCodec, readCodec, readDenoiser } from "../stages/runs/model.ts";
import { readNegative } from "../stages/runs/negative.ts";
import { openConditions } from "../stages/sample/conditions.ts";
import { storedConditions } from "../stages/reprocess/conditions.ts";
import { keeper } from "../stages/reprocess/kept.ts";
import { planTriples } from "../stages/reprocess/plan.ts";
import { takeLatents } from "../stages/reprocess/latents.ts";
import { checkStoreClasses, openRowConditions } from "../stages/simulate/row-conditions.ts";
import { tripleManifestOf } from "../stages/simulate/simulate.ts";
import { readLeftOut } from "../store/records/left-out.ts";
import { createLatentStore } from "../store/rows/latents.ts";
import { openStore, presentShards, readShard, type Store } from "../store/shards/store.ts";
import type { Summary } from "../store/shards/summary.ts";
import { createTripleStore } from "../store/rows/triples.ts";
import { finishWork, planWork } from "../store/making/work.ts";
import { ingestHeld } from "./ingest.ts";

interface Request {
  /** The store to start from; it is only read. */
  path: string;
  to: string;
  /** RUN that made the triples, or another; needed where rows must be simulated. */
  teacher?: string;
  /** Latent store that lends the conditions; needed where triples are added or their conditions change. */
  conditions?: string;
  /** The images of a latent store; needed where they must be encoded again. */
  images?: string[];
  /** Verify the new store first, and make damaged shards again. */
  repair?: boolean;
  /** Only say what would be done. */
  dryRun?: boolean;
  /** All settings that the new store is to have. */
  settings: Settings;
  context: Context;
}

/**
 * Makes at `to` the store that a fresh run with these settings would make, byte by byte, taking over from another store
 * what the settings leave as it is. Says first what that is. Goes on where an earlier run stopped; `repair` makes damaged shards again.
 * Throws a Failure that names what is needed and was not given.
 */
export async function reprocess(options: Request): Promise<Summary | undefined> {
  const { path, to, repair, context } = options;
  if (resolve(path) === resolve(to)) throw badUsage(`Cannot reprocess ${path} into itself: name another folder with --to`);
  const store = await openStore({ folder: path });
  const { kind } = store.manifest;
  if (kind === "tokens") {
    throw badUsage(`Cannot reprocess ${path}: it holds tokens, which \`pipeline tokenize\` makes anew of the latents. Repeat that`);
  }
  const work = (): Promise<Summary | undefined> =>
    kind === "triples"
      ? reprocessTriples(store as Store<TripleManifest>, options)
      : reprocessLatents(store as Store<LatentManifest>, options);
  return options.dryRun ? work() : inFolder({ folder: to, kind, command: "reprocess", shared: !repair, context }, work);
}

async function reprocessTriples(from: Store<TripleManifest>, options: Request): Promise<Summary | undefined> {
  const { path, to, repair, dryRun, settings, context } = options;
  const { report } = context;
  const teacher = options.teacher === undefined ? undefined : await readDenoiser(options.teacher, context);
  const { source } = from.manifest.conditions;
  const fromTeacher = ["none", "classes", "captions"].includes(source) || (source === "prompts" && settings.simulate.prompts !== undefined);
  const given =
    teacher && (options.conditions !== undefined || fromTeacher)
      ? await openRowConditions({
          teacher: teacher.description,
          latents: options.conditions,
          asked: settings.simulate,
          seed: settings.seed,
        })
      : undefined;
  if (teacher && !given) checkStoreClasses(from, teacher.description.spec); // its rows lend their labels
  const identity = given?.identity ?? from.manifest.conditions;
  const fresh = teacher
    ? tripleManifestOf({ teacher: teacher.description, conditions: identity, settings, version: version() })
    : draftOf(from, settings);
  const { trajectory: _, embedding: __, shardFormat: ___, ...others } = from.manifest;
  const wantedOf = (made: string): TripleManifest => ({
    ...others,
    ...fresh,
    engine: { ...fresh.engine, version: made },
  });

  const present = new Set(await presentShards(from));
  const plan = (wanted: TripleManifest) =>
    planTriples({ from, present, to: wanted, batch: { from: Number(from.manifest.engine.batch), to: settings.simulate.batch } });
  // Rows that are only rewritten keep the version that made them.
  let manifest = wantedOf(from.manifest.engine.version);
  if (plan(manifest).simulated > 0) manifest = wantedOf(version());
  const { changed, obstacles, fits, expects, simulated } = plan(manifest);
  const conditionsChanged = changed.some((key) => key.startsWith("conditions"));

  const { entries, rowsPerShard, shape } = manifest;
  report({
    type: "result",
    stage: "plan",
    values: {
      from: path,
      to,
      changed: changed.join(", ") || "nothing",
      "rows taken over": `${conditionsChanged ? "at most " : ""}${entries - simulated}`,
      "rows simulated": `${simulated}${obstacles.length > 0 ? ` (${obstacles.join(", ")})` : ""}`,
      shards: Math.ceil(entries / rowsPerShard),
      "to write": `about ${bytesInWords(projectedBytes({ ...settings.simulate, count: entries }, shape, manifest.embedding))}`,
      time: durationInWords(await estimate()),
    },
  });
  if (simulated > 0 && !teacher) {
    throw new Failure(
      `Cannot make ${simulated} rows of ${to} from ${path} alone: they must be simulated. Name the RUN of the teacher with --teacher.`,
    );
  }
  if (dryRun) return undefined;

  const store = await createTripleStore({ folder: to, manifest, repair });
  const recorded = tripleSettings(settings, teacher?.description.spec ?? settings);
  const asked =
    teacher &&
    openConditions({ description: teacher.description, choice: settings.simulate, engine: settings.engine, signal: context.signal });
  const { embedding } = manifest;
  await writeDescriptions({
    folder: to,
    codec: await readCodec(options.teacher ?? path, context),
    settings: recorded,
    context,
    negative: embedding && (async () => (await asked?.embed?.([null]))?.[0] ?? readNegative(path, embedding)),
  });
  const { shards, repaired } = await planWork(store, { repair, ...context, stage: "reprocess" });
  const figures = await fillTriples({
    store,
    settings,
    context,
    shards,
    conditions: given ?? storedConditions(from, fits),
    keep: keeper({ from, to: store, present, fits, expects, keepFailures: !conditionsChanged }),
    teacher: async () => {
      if (teacher && asked) return { ...teacher, given: asked };
      throw new Failure(`Cannot simulate rows of ${to} without a teacher: name its RUN with --teacher`);
    },
  }).finally(() => asked?.close());
  return finish(store, { figures, repaired, context });

  /** Seconds that reading the first shard and timing the teacher promise. */
  async function estimate(): Promise<number> {
    const [first] = present;
    const started = performance.now();
    if (first !== undefined) await readShard(from, first);
    const perRow = (performance.now() - started) / 1000 / from.manifest.rowsPerShard;
    const perTriple = teacher && simulated > 0 ? await secondsPerTriple(teacher, { settings, signal: context.signal }) : 0;
    return 2 * perRow * (entries - simulated) + perTriple * simulated;
  }
}

/** The description of a triple store with other simulation settings, all else as it is. */
function draftOf({ folder, manifest }: Store<TripleManifest>, settings: Settings) {
  const { count, rowsPerShard, noise, dtype, solver, steps, guidance, guidanceRescale, batch } = settings.simulate;
  const trajectory = trajectoryOf(settings.simulate, manifest);
  const { embedding } = manifest;
  const isStored = settings.simulate.embeddings === "stored";
  if (isStored && !embedding && manifest.conditions.text !== undefined) {
    throw new Failure(`Cannot keep embeddings of the captions of ${folder}: it has none. Name the teacher that makes them with --teacher.`);
  }
  return {
    ...(trajectory && { trajectory }),
    ...(isStored && embedding && { embedding }),
    ...(guidanceRescale && { guidanceRescale }),
    ...shardFormatOf(settings.store),
    entries: count,
    rowsPerShard,
    noise,
    dtype,
    guidance,
    seed: String(settings.seed),
    solver: { ...manifest.solver, name: solverFor(solver, manifest.diffusion), steps },
    engine: { ...manifest.engine, device: settings.engine.device, batch },
  };
}

async function reprocessLatents(from: Store<LatentManifest>, options: Request): Promise<Summary | undefined> {
  const { path, to, images = [], repair, dryRun, settings, context } = options;
  const codec = await openCodec(settings, context);
  const { manifest } = from;
  const { shardFormat: _, ...others } = manifest;
  const wanted: LatentManifest = {
    ...others,
    ...shardFormatOf(settings.store),
    shape: codec.description.shape,
    rowsPerShard: settings.encoder.rowsPerShard,
    imageSize: settings.images.size,
    encoder: { kind: codec.description.kind, hash: codec.description.hash, background: settings.images.background },
    source: { ...manifest.source, shuffle: settings.seed },
    engine: { ...manifest.engine, device: settings.engine.device },
  };
  const changed = differingKeys(manifest, wanted).map(({ key }) => key);
  // A network's last bits may depend on a row's place in its batch; pixels do not.
  const harmless = isPixels(codec.description.kind) ? ["rowsPerShard", "shardFormat"] : ["shardFormat"];
  const kept = changed.every((key) => harmless.includes(key));
  context.report({
    type: "result",
    stage: "plan",
    values: {
      from: path,
      to,
      changed: changed.join(", ") || "nothing",
      "rows taken over": kept ? manifest.entries : 0,
      "images encoded": kept ? 0 : manifest.entries,
      "to write": `about ${bytesInWords(projectedBytes({ count: manifest.entries, noise: "derived", dtype: "float32" }, wanted.shape))}`,
    },
  });
  if (!kept && images.length === 0) {
    throw new Failure(
      `Cannot make ${to} from ${path} alone: its images must be encoded again (${changed.join(", ")}). Name the images after the store.`,
    );
  }
  if (kept) {
    if (dryRun) return undefined;
    const store = await createLatentStore({ folder: to, manifest: wanted, repair });
    await writeDescriptions({ folder: to, codec, settings: latentSettings(settings), context, leftOut: await readLeftOut(from) });
    const { shards, repaired } = await planWork(store, { repair, ...context, stage: "reprocess" });
    const take = stage({ name: "take over", capacity: 1, work: takeLatents({ from, to: store }) });
    await drain(pull(() => shards).pipe(take, writeLatentShards({ store, report: context.report })), context);
    return finish(store, { repaired, context });
  }
  const listing = await openImages({ paths: images, limits: settings.images, shuffle: settings.seed, signal: context.signal });
  if (listing.fingerprint !== manifest.source.fingerprint) {
    throw new Failure(
      `Cannot encode ${images.join(", ")} again for ${to}: they are not the images of ${path}, or have changed since. ` +
        "For other images use pipeline ingest.",
    );
  }
  return dryRun ? undefined : ingestHeld({ images, out: to, codec, work: { repair }, settings, context });
}

async function finish(
  store: Store,
  { figures, repaired, context }: { figures?: Record<string, number>; repaired: number[]; context: Context },
): Promise<Summary> {
  const summary = (await finishWork(store, { ...context, repaired, stage: "reprocess" })) as Summary; // no share: it is all there
  const { rows, rejected, shards, bytes } = summary;
  context.report({ type: "result", stage: "reprocess", values: { to: store.folder, rows, rejected, shards, bytes, ...figures } });
  return summary;
}
