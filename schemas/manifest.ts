/**
 * What stands in STORE/store.json, the identity of a store: everything its rows are a function of, and nothing else
 * (no clock, no host name, no path). It never changes once written.
 */
import { createHash } from "node:crypto";
import * as z from "zod";
import { embeddingSize, textShape } from "./embedding.ts";
import { Failure } from "./failure.ts";
import { anyDiffusion, simulateSettings, type StoreSettings } from "./settings.ts";

/** Raised, with an entry in `upgrades`, when a reader of the earlier version would misread what is written now. */
export const storeVersion = 1;

/** More files than any file system bears in one folder; the order of training holds all their numbers. */
export const mostShards = 10_000_000;
export const mostEntries = 2 ** 32; // orders over them are of 32-bit numbers
const mostChannels = 2 ** 16;
const mostValues = 2 ** 28; // of a latent: a row is in memory whole
const mostTensorBytes = 2 ** 31 - 2 ** 27; // of a shard: what a file holds, less room for all else

const count = z.int().positive();
const hash = z.string().min(1);

const common = {
  format: z.literal("onestep"),
  version: z.literal(storeVersion),
  shape: z.tuple([count, count, count]), // of a latent: [height, width, channels]
  dtype: z.enum(["float32", "float16"]), // of the latents; noise is always float32
  entries: z.int().nonnegative(), // planned ids: 0 to entries - 1
  rowsPerShard: count, // shard s holds ids s * rowsPerShard up to (s + 1) * rowsPerShard, less what failed
  classes: z.array(z.string()), // names of the labels
  engine: z.looseObject({ device: z.string(), version: z.string() }), // what else decides the bits of a row
  shardFormat: z.enum(["arrow"]).optional(), // absent where shards are Parquet: stores of earlier versions keep their fingerprints
};

/** States x = clean + sigma epsilon before solver steps: their numbers, rising, and noise levels, falling. */
const trajectory = z
  .strictObject({ steps: z.array(z.int().nonnegative()).min(1), sigmas: z.array(z.number().positive()).min(1) })
  .optional(); // absent where none are kept: stores of earlier versions keep their fingerprints

export const latentManifest = z.strictObject({
  ...common,
  kind: z.literal("latents"),
  imageSize: count, // side of the cropped square, in pixels
  encoder: z.looseObject({ kind: z.string(), hash }),
  source: z.looseObject({ fingerprint: z.string() }), // of the listing of the images
});

/** Tokens of the images of a latent store, by an image tokenizer: whole numbers from 0, a grid of them an image. */
export const tokenManifest = z.strictObject({
  ...common,
  kind: z.literal("tokens"),
  dtype: z.literal("int16"),
  shape: z.tuple([count, count, z.literal(1)]), // of the grid, [height, width, 1]
  imageSize: count, // side of the images, in pixels
  encoder: z.looseObject({ kind: z.string(), hash }), // of the latents they were made of
  tokenizer: z.looseObject({ hash, codes: z.int().min(2).max(32768) }), // tokens are less than codes
  source: z.looseObject({ fingerprint: z.string() }), // of the contents of the latent store
});

export const tripleManifest = z.strictObject({
  ...common,
  kind: z.literal("triples"),
  seed: z.string().regex(/^\d+$/, "expected a decimal number"), // a string, since seeds have 64 bits
  noise: simulateSettings.shape.noise.unwrap(),
  teacher: z.looseObject({ hash }),
  solver: z.looseObject({ name: z.string(), steps: count }),
  diffusion: z.looseObject(anyDiffusion.shape),
  guidance: z.number(),
  trueGuidance: simulateSettings.shape.trueGuidance, // as guidanceRescale
  guidanceRescale: simulateSettings.shape.guidanceRescale, // absent where there is none: stores of earlier versions keep their fingerprints
  embedding: textShape.optional(), // of the captions, where rows keep them embedded; absent otherwise
  trajectory, // which of the teacher's states on the way are kept beside its results
  conditions: z.looseObject({ source: z.string() }), // where labels and captions come from, e.g. a latent store's fingerprint
});

export const manifest = z.discriminatedUnion("kind", [latentManifest, tripleManifest, tokenManifest]);

export type LatentManifest = z.infer<typeof latentManifest>;
export type TripleManifest = z.infer<typeof tripleManifest>;
export type TokenManifest = z.infer<typeof tokenManifest>;
export type Manifest = z.infer<typeof manifest>;
export type Trajectory = NonNullable<TripleManifest["trajectory"]>;
/** What a caller states; format and version are filled in. */
export type Draft<M extends Manifest> = Omit<M, "format" | "version" | "kind">;

/**
 * How a description of an older version reads in the version after it, by the older version's number. There is none yet:
 * version 1 is the first. What an upgrade cannot tell from the description alone is for `pipeline reprocess` to redo.
 */
export const upgrades: Record<number, (content: Record<string, unknown>) => Record<string, unknown>> = {};

/** A description of any earlier version as one of today's. Throws a Failure when there is no way. */
export function upgradedManifest(content: Record<string, unknown>, place: string): Record<string, unknown> {
  const { version } = content;
  if (typeof version !== "number" || version >= storeVersion) return content;
  const upgrade = Object.hasOwn(upgrades, version) ? upgrades[version] : undefined;
  if (upgrade) return upgradedManifest({ ...upgrade(content), version: version + 1 }, place);
  throw new Failure(
    `Cannot open ${place}: it has format version ${version}, which this program does not know. Its versions are 1 to ${storeVersion}.`,
  );
}

/** Validates a manifest; `place` names it in the Failure, which lists every wrong key. */
export function parseManifest(value: unknown, place: string): Manifest {
  const version = (value as { version?: unknown } | null)?.version;
  if (typeof version === "number" && version > storeVersion) {
    throw new Failure(
      `Cannot open ${place}: it has format version ${version} and this program reads up to ${storeVersion}. Update onestep.`,
    );
  }
  const parsed = manifest.safeParse(value);
  const problems = parsed.success
    ? excesses(parsed.data)
    : parsed.error.issues.slice(0, 20).map(({ path, message }) => `${path.join(".") || "the file"}: ${message}`);
  if (parsed.success && problems.length === 0) return parsed.data;
  throw new Failure(`Cannot use ${place} as a store description: ${problems.join("; ")}.`);
}

/** What no store can be made of, however well it is described. */
function excesses(manifest: Manifest): string[] {
  const { entries, rowsPerShard, shape } = manifest;
  const shards = Math.ceil(entries / rowsPerShard);
  const values = shape.reduce((product, side) => product * side, 1);
  const found: string[] = [];
  if (entries > mostEntries) found.push(`entries: ${entries}, expected at most ${mostEntries}`);
  if (shards > mostShards) {
    found.push(`entries: ${entries} in shards of ${rowsPerShard} (rowsPerShard) make ${shards} shards, expected at most ${mostShards}`);
  }
  if (shape[2] > mostChannels) found.push(`shape: ${shape[2]} channels, expected at most ${mostChannels}`);
  if (values > mostValues) found.push(`shape: a latent of ${shape.join(" x ")} has ${values} values, expected at most ${mostValues}`);
  if (manifest.kind === "triples" && manifest.trajectory) found.push(...excessesOf(manifest.trajectory, manifest, values));
  if (manifest.kind === "triples" && manifest.embedding) {
    const bytes = Math.min(entries, rowsPerShard) * embeddingSize(manifest.embedding) * (manifest.dtype === "float16" ? 2 : 4);
    if (bytes > mostTensorBytes) {
      const remedy = "make smaller shards (simulate.rowsPerShard), or keep none (simulate.embeddings=derived)";
      found.push(`embedding: shards have ${bytes} bytes of them, expected at most ${mostTensorBytes}: ${remedy}`);
    }
  }
  return found;
}

/** What a trajectory cannot be: steps in another order or beyond the solver's, levels of another number or order, shards too large. */
function excessesOf({ steps, sigmas }: Trajectory, manifest: TripleManifest, values: number): string[] {
  const found: string[] = [];
  const { solver, noise, dtype, entries, rowsPerShard } = manifest;
  const rise = (list: readonly number[]): boolean => list.every((value, i) => i === 0 || value > list[i - 1]!);
  if (!rise(steps)) found.push(`trajectory.steps: ${abridged(JSON.stringify(steps))}, expected rising numbers`);
  const last = steps.at(-1)!;
  if (last >= solver.steps)
    found.push(`trajectory.steps: ${last}, expected at most ${solver.steps - 1}: the state after that is the result`);
  if (sigmas.length !== steps.length || !rise([...sigmas].reverse())) {
    found.push(`trajectory.sigmas: ${abridged(JSON.stringify(sigmas))}, expected ${steps.length} falling noise levels`);
  }
  const tensors = steps.filter((step) => step > 0).length + 1; // the state before step 0 is the noise, and is not stored
  const bytes = Math.min(entries, rowsPerShard) * values * ((dtype === "float16" ? 2 : 4) * tensors + (noise === "stored" ? 4 : 0));
  if (bytes > mostTensorBytes) {
    const remedy = "keep fewer states (simulate.trajectory), or make smaller shards (simulate.rowsPerShard)";
    found.push(`trajectory: ${steps.length} states make shards of ${bytes} bytes, expected at most ${mostTensorBytes}: ${remedy}`);
  }
  return found;
}

/** What a description says of the format of its shards. */
export const shardFormatOf = ({ format }: StoreSettings): { shardFormat?: "arrow" } => (format === "arrow" ? { shardFormat: format } : {});

/** sha256 (hex) of the manifest in canonical JSON: two stores of one fingerprint hold the same rows. */
export function fingerprint(value: object): string {
  return createHash("sha256")
    .update(JSON.stringify(sorted(value)))
    .digest("hex");
}

/** The exact text of store.json: sorted keys, the fingerprint last, so that any flipped bit shows. */
export function manifestText(value: object): string {
  const content = { ...(sorted(value) as object), fingerprint: fingerprint(value) };
  return `${JSON.stringify(content, null, 2)}\n`;
}

/** The keys in which two manifests differ, as "simulate.seed: 1 instead of 2"; of hashes, which tell nobody anything, only that they do. */
export function differences(found: unknown, expected: unknown): string[] {
  return differingKeys(found, expected).map(({ key, found, expected }) =>
    isHash(found) && isHash(expected)
      ? `${key} is another`
      : `${key}: ${abridged(JSON.stringify(found))} instead of ${abridged(JSON.stringify(expected))}`,
  );
}

const isHash = (value: unknown): boolean => typeof value === "string" && /^[0-9a-f]{64}$/.test(value);

/** The keys in which two manifests differ, as paths, and what stands there in either. */
export function differingKeys(found: unknown, expected: unknown, path = ""): { key: string; found: unknown; expected: unknown }[] {
  if (isRecord(found) && isRecord(expected)) {
    const keys = [...new Set([...Object.keys(found), ...Object.keys(expected)])].sort();
    return keys.flatMap((key) => differingKeys(found[key], expected[key], path ? `${path}.${key}` : key));
  }
  return JSON.stringify(found) === JSON.stringify(expected) ? [] : [{ key: path, found, expected }];
}

/** The same value with the keys of every object sorted. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key])]),
  );
}

function abridged(text: string | undefined): string {
  if (text === undefined) return "nothing";
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** Whether lists and objects within each other make more levels than a description may have: whoever walks it goes down each. */
export function isTooDeep(value: unknown, levels = 32): boolean {
  if (value === null || typeof value !== "object") return false;
  return levels === 0 || Object.values(value).some((inner) => isTooDeep(inner, levels - 1));
}
