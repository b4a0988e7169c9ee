/**
 * Checkpoints: RUN/checkpoint-00001000-<hash>.safetensors, all sets of weights of one step. The name carries the first
 * 16 digits of the file's sha256, so one rename publishes content and hash together, and any flipped bit shows.
 */
import { createReadStream } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { safetensorsPieces, sourcesOf } from "../../models/weights/pieces.ts";
import { readSafetensors, type Safetensors } from "../../models/weights/safetensors.ts";
import type { Weights } from "../../engine/weights.ts";
import { Failure } from "../../schemas/failure.ts";
import { namesIn, removeTemporaries, writeAtomic } from "../../store/atomic.ts";
import { sha256Pieces } from "../../store/hash.ts";

export interface Checkpoint {
  path: string;
  step: number;
  sets: Record<string, Weights>;
  /** Whatever else the run needs to go on exactly, as JSON. */
  metadata: Record<string, unknown>;
}

const pattern = /^checkpoint-(\d{8,})-([0-9a-f]{16})\.safetensors$/;

/**
 * Writes a checkpoint, reads it back and compares before it appears; only then removes all but the newest `keep`.
 * Answers its path. Throws a Failure when the disk is full or gives back other bytes.
 */
export async function writeCheckpoint(options: {
  folder: string;
  step: number;
  sets: Record<string, Weights>;
  metadata?: Record<string, unknown>;
  keep?: number;
}): Promise<string> {
  const { folder, step, sets, metadata = {}, keep = 2 } = options;
  const tensors: Weights = {};
  for (const [set, weights] of Object.entries(sets)) {
    for (const [name, tensor] of Object.entries(weights)) tensors[`${set}/${name}`] = tensor;
  }
  const described = { step: String(step), sets: JSON.stringify(Object.keys(sets)), metadata: JSON.stringify(metadata) };
  const pieces = safetensorsPieces({ tensors: sourcesOf(tensors), metadata: described });
  const hash = await sha256Pieces(pieces);
  const path = join(folder, `checkpoint-${String(step).padStart(8, "0")}-${hash.slice(0, 16)}.safetensors`);
  await writeAtomic(path, pieces, async (temporary) => {
    if ((await sha256Pieces(contentOf(temporary))) === hash) return;
    throw new Failure(`Cannot keep the checkpoint of step ${step} in ${folder}: the disk gives back other bytes. Choose another disk.`);
  });
  for (const old of (await newestFirst(folder)).slice(keep)) await rm(join(folder, old.name), { force: true });
  await removeTemporaries(folder);
  return path;
}

/**
 * The newest sound checkpoint of a folder; undefined when it has none at all. Damaged newer ones are named through
 * `warn` and passed over. Throws a Failure when there are checkpoints and none is sound.
 */
export async function readLatestCheckpoint(options: { folder: string; warn?: (message: string) => void }): Promise<Checkpoint | undefined> {
  const { folder, warn } = options;
  const found = await newestFirst(folder);
  for (const { name, hash, step } of found) {
    const path = join(folder, name);
    const read = await readSafetensors(path, { hash: true }).catch(async (error) => {
      if ((await sha256Pieces(contentOf(path))).startsWith(hash)) throw error; // it was written so
    });
    if (read?.sha256.startsWith(hash)) return checkpointOf(path, step, read);
    warn?.(`passed over the damaged checkpoint ${path}: its content does not have the hash in its name`);
  }
  if (found.length === 0) return undefined;
  throw new Failure(`Cannot resume from ${folder}: all ${found.length} checkpoints are damaged. Delete them to start again from step 0.`);
}

const contentOf = (path: string): AsyncIterable<Uint8Array> => createReadStream(path, { highWaterMark: 2 ** 22 });

function checkpointOf(path: string, step: number, { tensors, metadata }: Safetensors): Checkpoint {
  const names = JSON.parse(metadata.sets ?? "[]") as string[];
  const sets: Record<string, Weights> = Object.fromEntries(names.map((name) => [name, {}]));
  for (const [key, { shape, data }] of Object.entries(tensors)) {
    const slash = key.indexOf("/");
    sets[key.slice(0, slash)]![key.slice(slash + 1)] = { shape, data };
  }
  return { path, step, sets, metadata: JSON.parse(metadata.metadata ?? "{}") };
}

async function newestFirst(folder: string): Promise<{ name: string; step: number; hash: string }[]> {
  const checkpoints = (await namesIn(folder)).flatMap((name) => {
    const [, step, hash] = pattern.exec(name) ?? [];
    return step && hash ? [{ name, step: Number(step), hash }] : [];
  });
  return checkpoints.sort((a, b) => b.step - a.step);
}
