/** From a row back to all it is a function of, and from there to the row again. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import * as z from "zod";
import { fromHalf, toHalf } from "../../schemas/numbers/half.ts";
import type { Context } from "../../schemas/events.ts";
import { badUsage, Failure } from "../../schemas/failure.ts";
import { type EngineSettings, simulateSettings } from "../../schemas/settings.ts";
import { visible } from "../../schemas/visible.ts";
import type { LatentManifest, TripleManifest } from "../../schemas/manifest.ts";
import type { SolverPlan } from "../../models/diffusion/sampler-plan.ts";
import { type Denoiser, readDenoiser } from "../runs/model.ts";
import { checkTeacher } from "../runs/teacher-of-store.ts";
import { openConditions } from "../sample/conditions.ts";
import { namesIn } from "../../store/places/atomic.ts";
import { stateColumn, tensorOf, type TripleRow } from "../../store/format/columns.ts";
import { isUrl, within } from "../../store/places/place.ts";
import { readText } from "../../store/places/text.ts";
import { idRange, openStore, readShard, type Store } from "../../store/shards/store.ts";
import { noiseOf } from "../../store/rows/triples.ts";
import { largestDifference } from "./diff.ts";
import { rowOfId } from "./rows.ts";
import { type Facts, rowFacts } from "./facts.ts";
import { startSampler } from "../workers/start-sampler.ts";

const samplerPlan = simulateSettings.pick({ solver: true, steps: true, guidance: true, trueGuidance: true, guidanceRescale: true });
const sourceParts = z.array(z.object({ source: z.string(), entries: z.number() }));

/**
 * What made a row: its image (looked up in the latent store `conditions`, or in one beside the triples), condition,
 * teacher, solver, guidance, seed and versions. Throws a Failure when there is no such row, with the reason.
 */
export async function whyRow(options: { store: Store; id: number; conditions?: string; teacher?: string }): Promise<Facts> {
  const { store, id } = options;
  const { row, shard, position } = await rowOfId(store, id);
  const facts = rowFacts(store.manifest, row, { shard, position });
  if (store.manifest.kind === "tokens") return facts;
  if (store.manifest.kind === "latents") return { ...facts, "images from": sourceInWords(store.manifest) };
  const teacher = options.teacher ?? (await beside(store.folder, (folder) => isTeacher(folder, store.manifest as TripleManifest)));
  if (teacher) facts["teacher in"] = teacher;
  if (!("seed" in row) || row.imageIndex == null) return facts;
  const latents = await conditionStore(store as Store<TripleManifest>, options.conditions);
  if (!latents) return { ...facts, image: `${facts.image}; name that latent store with --conditions to see its file` };
  const image = (await rowOfId(latents, row.imageIndex)).row;
  return {
    ...facts,
    image: `${"name" in image ? image.name : row.imageIndex} (${row.imageIndex} of ${latents.folder})`,
    "images from": sourceInWords(latents.manifest),
    encoder: `${latents.manifest.encoder.kind} ${latents.manifest.encoder.hash}`,
  };
}

/**
 * Computes a triple again, in the same place of a batch of the same size, where bits may depend on both. Answers the
 * largest difference to what is stored: 0 on the same kind of device with the same version. Throws a Failure when
 * `teacher` (or what stands beside the store) is not the one that made it.
 */
export async function redoRow(options: {
  store: Store;
  id: number;
  teacher?: string;
  engine: EngineSettings;
  version: string;
  context: Context;
}): Promise<Facts> {
  const { id, engine, version, context } = options;
  if (options.store.manifest.kind !== "triples") {
    const maker = options.store.manifest.kind === "tokens" ? "tokenize" : "ingest";
    throw badUsage(
      `Cannot redo row ${id} of ${options.store.folder}: it holds encoded images, and ${maker} alone makes them again. ` +
        "Name a store of triples.",
    );
  }
  const store = options.store as Store<TripleManifest>;
  const { manifest } = store;
  const { row, shard } = await rowOfId(store, id);
  const { batch: recorded, plan } = recipeOf(store);
  const { description, weights } = await teacherOf(store, options.teacher, context);
  const { device, version: made } = manifest.engine;
  if (device !== engine.device || (made !== undefined && made !== version)) {
    const [then, now] = [`on ${device} with version ${made}`, `${engine.device} with version ${version}`];
    const message = `the store was made ${then}, and this is ${now}: small differences are no fault`;
    context.report({ type: "warning", stage: "redo", message });
  }

  const latent = tensorOf(row);
  const length = latent.length;
  const { from, to } = idRange(manifest, shard);
  const batch = Math.min(recorded, manifest.rowsPerShard, manifest.entries);
  const start = id - ((id - from) % batch);
  const count = Math.min(batch, to - start);
  const neighbours = new Map((await readShard(store, shard)).map((each) => [each.id, each]));
  const ids = Array.from({ length: count }, (_, i) => start + i);
  const noise = new Float32Array(count * length);
  for (const [i, each] of ids.entries()) noise.set(noiseOf({ seed: BigInt(manifest.seed), id: each }, length), i * length);
  const label = Int32Array.from(ids, (each) => neighbours.get(each)?.label ?? -1); // a rejected neighbour's is not stored
  const caption = ids.map((each) => neighbours.get(each)?.caption ?? null);

  const { spec } = description;
  const compute = await startSampler({ spec, weights, plan, batch, engine, remedy: "free some memory", signal: context.signal });
  const { negative } = manifest.conditions;
  const choice = typeof negative === "string" ? { negative } : {};
  const conditions = openConditions({ description, choice, engine, signal: context.signal });
  try {
    const keep = manifest.trajectory?.steps.filter((step) => step > 0) ?? [];
    const given = await conditions.inputs({ label, caption });
    const { latents, states } = await compute.call("solve", { noise, rows: count, keep, conditions: given });
    const again = (values: Float32Array): Float32Array => {
      const made = values.slice((id - start) * length, (id - start + 1) * length);
      return manifest.dtype === "float16" ? fromHalf(toHalf(made)) : made;
    };
    const columns = ["latent", ...keep.map(stateColumn)] as const;
    const differences = [latents, ...states].map((values, i) =>
      largestDifference(again(values), (row as TripleRow)[columns[i] as "latent"]),
    );
    const difference = differences.reduce((most, each) => Math.max(most, each));
    return {
      id,
      place: `row ${id - start} of a batch of ${batch}`,
      evaluations: await compute.call("evaluations", undefined as never),
      device: engine.device,
      "largest difference": difference,
      verdict: difference === 0 ? "the same to the last bit" : "not the same bits",
    };
  } finally {
    await Promise.all([compute.close(), conditions.close()]);
  }
}

/** How a store says that its rows were computed. Throws a Failure where nobody computes so. */
function recipeOf({ folder, manifest }: Store<TripleManifest>): { batch: number; plan: SolverPlan } {
  const { batch = 1 } = manifest.engine;
  const { name: solver, steps } = manifest.solver;
  const { guidance, trueGuidance, guidanceRescale } = manifest;
  const plan = samplerPlan.safeParse({ solver, steps, guidance, trueGuidance, guidanceRescale });
  if (plan.success && typeof batch === "number" && Number.isSafeInteger(batch) && batch > 0) return { batch, plan: plan.data };
  const [key, value] = plan.success ? ["engine.batch", batch] : ["solver", { ...manifest.solver, guidance: manifest.guidance }];
  throw new Failure(
    `Cannot redo a row of ${folder}: its store.json says ${key} ${visible(JSON.stringify(value), 100)}, which nothing computes by. ` +
      "It was not written by onestep: look at other rows with --why.",
  );
}

async function teacherOf(store: Store<TripleManifest>, named: string | undefined, context: Context): Promise<Denoiser> {
  const { manifest } = store;
  const folder = named ?? (await beside(store.folder, (candidate) => isTeacher(candidate, manifest)));
  if (!folder)
    throw badUsage(
      `Cannot redo a row of ${store.folder}: no teacher ${manifest.teacher.hash.slice(0, 12)} stands beside it. ` +
        "Name its RUN with --teacher.",
    );
  const teacher = await readDenoiser(folder, context);
  checkTeacher({ action: "Cannot redo a row of", store, folder, teacher: teacher.description });
  return teacher;
}

async function isTeacher(folder: string, { teacher }: TripleManifest): Promise<boolean> {
  const path = join(folder, "model.json");
  if (!existsSync(path)) return false;
  const text = await readFile(path, "utf8");
  return text.includes(`"${teacher.hash}"`) && text.includes(`"teacher"`);
}

async function conditionStore({ folder, manifest }: Store<TripleManifest>, named?: string): Promise<Store<LatentManifest> | undefined> {
  const wanted = manifest.conditions.source;
  const isWanted = async (candidate: string) => {
    const text = await readText(within(candidate, "store.json"));
    return text?.includes(`"${wanted}"`) === true && (await openStore({ folder: candidate })).fingerprint === wanted;
  };
  const found = named ?? (await beside(folder, isWanted));
  if (!found) return undefined;
  if (await isWanted(found)) return (await openStore({ folder: found })) as Store<LatentManifest>;
  throw badUsage(
    `Cannot look up the image in ${found}: the conditions came from the latent store ${wanted.slice(0, 12)}, and it is another.`,
  );
}

/** The folder beside this one that fits, as `run` lays them out. */
async function beside(folder: string, fits: (candidate: string) => Promise<boolean>): Promise<string | undefined> {
  if (isUrl(folder)) return undefined; // what lies beside a store in a bucket is named
  const parent = dirname(resolve(folder));
  for (const name of await namesIn(parent)) {
    const candidate = join(parent, name);
    if (candidate !== resolve(folder) && (await fits(candidate).catch(() => false))) return candidate;
  }
  return undefined;
}

function sourceInWords({ source, imageSize }: LatentManifest): string {
  const { data: parts = [] } = sourceParts.safeParse(source.parts);
  const places = parts.map(({ source: place, entries }) => `${place} (${entries} entries)`).join(", ");
  return `${places || "unnamed archives"}, cropped to ${imageSize} px; listing ${source.fingerprint}`;
}
