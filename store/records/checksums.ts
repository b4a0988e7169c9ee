/**
 * STORE/checksums.json: the sha256 of the files that stand beside the shards and say how to read them (codec, settings) and what
 * of the input is not in them, its own last, so that any flipped bit shows. Shards, journal, summary and store.json carry their own.
 */
import { piecesOf } from "../places/buffers.ts";
import { filesAt, namesAt } from "../places/files.ts";
import { sha256Pieces, textHash } from "../places/hash.ts";
import { within } from "../places/place.ts";
import { readText } from "../places/text.ts";

/** What may stand beside the shards. */
export const descriptionFiles = [
  ...["codec.json", "codec.safetensors", "left-out.json", "settings.yaml"],
  ...["tokenizer.json", "tokenizer.safetensors"], // of tokens
  "negative.safetensors", // of triples that keep embeddings: the negative prompt's
] as const;

/**
 * Records the hashes of the description files (codec and settings) that are in a store's folder.
 *
 * @example
 * import { writeAtomic } from "../places/atomic.ts";
 * import { examineDescriptions, writeChecksums } from "./checksums.ts";
 * await writeAtomic(`${folder}/settings.yaml`, "seed: 0\n");
 * await writeChecksums(folder);
 * assert.deepEqual(await examineDescriptions(folder), []);
 */
export async function writeChecksums(folder: string): Promise<void> {
  await filesAt(folder).replace(within(folder, "checksums.json"), checksumsText(await hashesOf(folder)));
}

/**
 * What is wrong with the description files of a folder: each file with its problem, nothing when all is well. Undefined when
 * nothing is recorded: there are none, or they are still being written.
 *
 * @example
 * import { writeAtomic } from "../places/atomic.ts";
 * import { examineDescriptions, writeChecksums } from "./checksums.ts";
 * await writeAtomic(`${folder}/settings.yaml`, "seed: 0\n");
 * await writeChecksums(folder);
 * await writeAtomic(`${folder}/settings.yaml`, "seed: 1\n");
 * assert.equal((await examineDescriptions(folder))?.[0]?.file, "settings.yaml");
 */
export async function examineDescriptions(folder: string): Promise<{ file: string; problem: string }[] | undefined> {
  const text = await readText(within(folder, "checksums.json"));
  if (text === undefined) return undefined;
  let recorded: Record<string, string>;
  try {
    const { sha256: _, ...hashes } = JSON.parse(text) as Record<string, string>;
    recorded = hashes;
  } catch {
    recorded = {};
  }
  if (checksumsText(recorded) !== text) return [{ file: "checksums.json", problem: "it is damaged" }];
  const found = await hashesOf(folder);
  const names = [...new Set([...Object.keys(recorded), ...Object.keys(found)])].sort();
  return names.flatMap((file) => {
    if (found[file] === recorded[file]) return [];
    const missing = found[file] === undefined;
    return [{ file, problem: missing ? "it is missing" : "its sha256 is not the one in checksums.json" }];
  });
}

async function hashesOf(folder: string): Promise<Record<string, string>> {
  const hashes: Record<string, string> = {};
  const present = new Set(await namesAt(folder));
  for (const name of descriptionFiles) {
    const path = within(folder, name);
    if (present.has(name)) hashes[name] = await sha256Pieces(piecesOf(path));
  }
  return hashes;
}

function checksumsText(hashes: Record<string, string>): string {
  return `${JSON.stringify({ ...hashes, sha256: textHash(JSON.stringify(hashes)) }, null, 2)}\n`;
}
