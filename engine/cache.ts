/**
 * Optimised graphs kept on disk, so that a program compiled before starts at once. A file holds what ONNX Runtime made of
 * a model, in its own format; its name, the key, is the hash of everything it depends on. In front of the graph stands a
 * seal, the hash of key and graph together: a file under another's name, copied or synchronised, is as damaged as a torn one.
 */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, unlink, utimes, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { arch, cpus, homedir, platform } from "node:os";
import { join } from "node:path";
import type { InferenceSession } from "onnxruntime-node";

export interface GraphCache {
  /** A session for the model: from its optimised graph where that is kept, else made by `create`, and kept. */
  session: (
    model: Uint8Array,
    options: {
      device: string;
      create: (bytes: Uint8Array, how?: { saveTo?: string; isOptimised?: boolean }) => Promise<InferenceSession>;
    },
  ) => Promise<InferenceSession>;
}

export interface CacheOptions {
  folder: string;
  /** Bytes the folder may hold; the files used longest ago go first. */
  limit?: number;
  /** Models of fewer or more bytes are not kept: below, nothing is won; above, it is mostly weights. */
  smallest?: number;
  largest?: number;
}

/**
 * The user's folder for optimised graphs: ONESTEP_CACHE, or `onestep` in the user's cache; undefined where that is "off", and
 * for a user without a home.
 */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env, home: () => string = homedir): string | undefined {
  const { ONESTEP_CACHE, XDG_CACHE_HOME } = environment;
  if (ONESTEP_CACHE) return ONESTEP_CACHE === "off" ? undefined : ONESTEP_CACHE;
  if (XDG_CACHE_HOME) return join(XDG_CACHE_HOME, "onestep");
  try {
    return join(home(), ".cache", "onestep");
  } catch {
    return undefined; // neither HOME nor the list of users knows one
  }
}

/**
 * A cache in a folder, made when first needed. Nothing that goes wrong with it (no space, no permission, a file in the
 * folder's place) keeps a program from being compiled, or is told: all it costs is time.
 */
export function openCache(options: CacheOptions): GraphCache {
  const { folder, limit = 512 * 2 ** 20, smallest = 64 * 2 ** 10, largest = 64 * 2 ** 20 } = options;
  return {
    session: async (model, { device, create }) => {
      if (!DEVICES.has(device) || model.length < smallest || model.length > largest) return create(model);
      const key = keyOf(model, device);
      const path = join(folder, `${key}.graph`);
      const kept = await readSealed(path, key);
      if (kept) {
        try {
          const session = await create(kept, { isOptimised: true });
          await utimes(path, new Date(), new Date()).catch(() => {});
          return session;
        } catch {} // of another make: it is written anew
      }
      const draft = await createDraft(folder);
      if (!draft) return create(model);
      try {
        const session = await create(model, { saveTo: draft }).catch(() => undefined);
        if (!session) return await create(model); // it is the draft that cannot be written, or this says what is wrong with the model
        await seal(draft, path, key).catch(() => {});
        await prune(folder, limit).catch(() => {});
        return session;
      } finally {
        await rm(draft, { force: true }).catch(() => {});
      }
    },
  };
}

/** Whatever the optimised graph is a function of. Layouts follow the processor's instruction set. */
function keyOf(model: Uint8Array, device: string): string {
  const { version } = createRequire(import.meta.url)("onnxruntime-node/package.json") as { version: string };
  const made = [FORMAT, version, device, platform(), arch(), cpus()[0]?.model ?? ""];
  return createHash("sha256")
    .update(`${JSON.stringify(made)}\n`)
    .update(model)
    .digest("hex");
}

/** Where a stored graph was seen to run with the same bits as before. */
const DEVICES = new Set(["cpu", "webgpu"]);

const FORMAT = 2;
const HASH_BYTES = 32;
const sealOf = (key: string, graph: Uint8Array): Buffer => createHash("sha256").update(`${key}\n`).update(graph).digest();

/** The graph of a sealed file; undefined where there is none or its seal is not that of key and graph. */
async function readSealed(path: string, key: string): Promise<Uint8Array | undefined> {
  const file = await readFile(path).catch(() => undefined);
  if (!file || file.length <= HASH_BYTES) return undefined;
  const body = new Uint8Array(file.subarray(HASH_BYTES)); // from the start of a buffer: the format is read where it lies
  return sealOf(key, body).equals(file.subarray(0, HASH_BYTES)) ? body : undefined;
}

/** The path of a new file in the folder that can be written to; undefined where none can. */
async function createDraft(folder: string): Promise<string | undefined> {
  const draft = join(folder, `${randomUUID()}.draft`);
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(draft, "", { flag: "wx" });
    return draft;
  } catch {
    return undefined;
  }
}

/** Puts the draft's bytes behind their seal at `path`, at once. */
async function seal(draft: string, path: string, key: string): Promise<void> {
  const body = await readFile(draft);
  if (body.length === 0) return;
  await writeFile(draft, Buffer.concat([sealOf(key, body), body]));
  await rename(draft, path);
}

/** Removes the graphs used longest ago until the rest fits, and drafts that a killed process left. */
async function prune(folder: string, limit: number): Promise<void> {
  const files = await Promise.all(
    (await readdir(folder))
      .filter((name) => /\.(graph|draft)$/.test(name))
      .map(async (name) => ({ path: join(folder, name), name, ...(await stat(join(folder, name))) })),
  );
  const hour = 3_600_000;
  let total = 0;
  for (const { path, name, size, mtimeMs } of files.sort((a, b) => b.mtimeMs - a.mtimeMs)) {
    const isStale = name.endsWith(".draft") && Date.now() - mtimeMs > hour;
    total += isStale ? 0 : size;
    if (isStale || (total > limit && name.endsWith(".graph"))) await unlink(path);
  }
}
