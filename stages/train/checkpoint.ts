/**
 * Checkpoints: RUN/checkpoint-00001000-<hash>.safetensors, all sets of weights of one step. The name carries the first
 * 16 digits of the file's sha256, so one rename publishes content and hash together, and any flipped bit shows. The step in
 * the name is in the content too. Files of any size are written, hashed and read in pieces.
 */
import { createReadStream } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { notFinite } from "../../models/weights/load.ts";
import { safetensorsPieces, sourcesOf } from "../../models/weights/pieces.ts";
import { readSafetensors, type Safetensors } from "../../models/weights/safetensors.ts";
import type { Weights } from "../../engine/weights.ts";
import { parsedJson } from "../../schemas/json.ts";
import { Failure } from "../../schemas/failure.ts";
import { namesIn, removeTemporaries, writeAtomic } from "../../store/places/atomic.ts";
import { sha256Pieces } from "../../store/places/hash.ts";

export interface Checkpoint {
  path: string;
  step: number;
  sets: Record<string, Weights>;
  /** Whatever else the run needs to go on exactly, as JSON. */
  metadata: Record<string, unknown>;
}

const pattern = /^checkpoint-(\d{8,})-([0-9a-f]{16})\.safetensors$/;

/**
 * Writes a checkpoint, reads it back and compares before it appears; only then removes all but the newest `keep`. Older ones of
 * steps that are not `isRegular`, of a training that was stopped there, are removed too: what stands in the folder in the end does
 * not tell of stops.
 * Answers its path. Throws a Failure when a weight is not finite, and when the disk is full or gives back other bytes.
 */
export async function writeCheckpoint(options: {
  folder: string;
  step: number;
  sets: Record<string, Weights>;
  metadata?: Record<string, unknown>;
  keep?: number;
  isRegular?: (step: number) => boolean;
}): Promise<string> {
  const { folder, step, sets, metadata = {}, keep = 2, isRegular = () => true } = options;
  const tensors: Weights = {};
  for (const [set, weights] of Object.entries(sets)) {
    for (const [name, tensor] of Object.entries(weights)) tensors[`${set}/${name}`] = tensor;
  }
  const wrong = notFinite(tensors);
  if (wrong !== undefined) {
    throw new Failure(
      `Cannot keep the checkpoint of step ${step} in ${folder}: ${wrong}. Lower the learning rate; the checkpoint before it is sound.`,
    );
  }
  const described = { step: String(step), sets: JSON.stringify(Object.keys(sets)), metadata: JSON.stringify(metadata) };
  const pieces = safetensorsPieces({ tensors: sourcesOf(tensors), metadata: described });
  const hash = await sha256Pieces(pieces);
  const path = join(folder, `checkpoint-${String(step).padStart(8, "0")}-${hash.slice(0, 16)}.safetensors`);
  await writeAtomic(path, pieces, async (temporary) => {
    if ((await sha256Pieces(contentOf(temporary))) === hash) return;
    throw new Failure(`Cannot keep the checkpoint of step ${step} in ${folder}: the disk gives back other bytes. Choose another disk.`);
  });
  const found = await newestFirst(folder);
  const kept = found.filter((other, index) => index === 0 || isRegular(other.step)).slice(0, keep);
  for (const old of found) if (!kept.includes(old)) await rm(join(folder, old.name), { force: true });
  await removeTemporaries(folder, { all: true }); // one process writes a run: those of other hosts are of killed ones too
  return path;
}

/**
 * The newest sound checkpoint of a folder; undefined when it has none at all. Newer ones that are damaged, or not what their
 * name says, are named through `warn` and passed over. Throws a Failure when there are checkpoints and none is sound.
 */
export async function readLatestCheckpoint(options: { folder: string; warn?: (message: string) => void }): Promise<Checkpoint | undefined> {
  const { folder, warn } = options;
  const found = await newestFirst(folder);
  for (const named of found) {
    const path = join(folder, named.name);
    const read = await readCheckpoint(path, named);
    if (typeof read !== "string") return read;
    warn?.(`passed over the damaged checkpoint ${path}: ${read}`);
  }
  if (found.length === 0) return undefined;
  throw new Failure(`Cannot resume from ${folder}: all ${found.length} checkpoints are damaged. Delete them to start again from step 0.`);
}

/** The step of the oldest checkpoint that is kept, to which a run may have to go back; 0 where there is none. */
export async function oldestCheckpoint(folder: string): Promise<number> {
  return (await newestFirst(folder)).at(-1)?.step ?? 0;
}

const contentOf = (path: string): AsyncIterable<Uint8Array> => createReadStream(path, { highWaterMark: 2 ** 22 });

/** The checkpoint of a file, or what is wrong with it in words. What the system says of the file itself is thrown as it is. */
async function readCheckpoint(path: string, { step, hash }: { step: number; hash: string }): Promise<Checkpoint | string> {
  const unlike = "its content does not have the hash in its name";
  let read: Safetensors & { sha256: string };
  try {
    read = await readSafetensors(path, { hash: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).errno !== undefined) throw error;
    return (await sha256Pieces(contentOf(path))).startsWith(hash) ? (error as Error).message : unlike;
  }
  if (!read.sha256.startsWith(hash)) return unlike;
  const described = descriptionOf(read.metadata);
  if (!described) return "it does not say what it holds";
  if (described.step !== String(step)) return `its name says step ${step} and its content step ${described.step}`;
  const wrong = notFinite(read.tensors);
  if (wrong !== undefined) return wrong;
  const entries = new Map<string, [string, Weights[string]][]>(described.sets.map((name) => [name, []]));
  for (const [key, { shape, data }] of Object.entries(read.tensors)) {
    const slash = key.indexOf("/");
    const set = entries.get(key.slice(0, slash));
    if (!set) return `it lists no set for its tensor "${key}"`;
    set.push([key.slice(slash + 1), { shape, data }]);
  }
  const sets = Object.fromEntries([...entries].map(([name, tensors]) => [name, Object.fromEntries(tensors)]));
  return { path, step, sets, metadata: described.metadata };
}

const descriptionSchema = z.object({
  step: z.string(),
  sets: z.string().transform(parsedJson).pipe(z.array(z.string())),
  metadata: z.string().transform(parsedJson).pipe(z.record(z.string(), z.unknown())),
});

/** What the metadata of the file says of it; undefined where that is not what checkpoints say. */
function descriptionOf(metadata: Record<string, string>): z.infer<typeof descriptionSchema> | undefined {
  return descriptionSchema.safeParse(metadata).data;
}

async function newestFirst(folder: string): Promise<{ name: string; step: number; hash: string }[]> {
  const checkpoints = (await namesIn(folder)).flatMap((name) => {
    const [, step, hash] = pattern.exec(name) ?? [];
    return step && hash ? [{ name, step: Number(step), hash }] : [];
  });
  return checkpoints.sort((a, b) => b.step - a.step);
}
