/**
 * Safetensors files of any size, opened without reading their tensors: only headers are read and checked, and each tensor
 * comes when it is asked for, by positional reads in pieces.
 */
import { open, realpath } from "node:fs/promises";
import { type Header, headerLength, parseHeader, PREFIX } from "./header.ts";
import { parseIndex } from "./shards.ts";
import { readRange, type StoredTensor, stampOf, storedTensor } from "./stored.ts";

export interface OpenSafetensors {
  /** By name, in the order of their bytes, file after file. */
  tensors: Record<string, StoredTensor>;
  metadata: Record<string, string>;
  /** The bytes in front of the first tensor; of a checkpoint in several files, those of all its files. */
  head: Uint8Array;
}

/**
 * Opens a safetensors file, or a checkpoint in several files by its index (`*.safetensors.index.json`, see shards.ts). No
 * file stays open between reads: one that has changed since is refused. Throws an Error that names the file where it is
 * missing, torn or malformed; a missing file's error has the code ENOENT.
 *
 * @param path of a `.safetensors` file or of an index
 */
export async function openSafetensors(path: string): Promise<OpenSafetensors> {
  if (!path.endsWith(".json")) return openFile(path);
  const index = await parseIndex(path);
  const opened = new Map<string, OpenSafetensors>();
  for (const [file, names] of index) {
    const shard = await openFile(file).catch((error: NodeJS.ErrnoException) => {
      const reason = error.code === "ENOENT" ? `its file ${file} is missing` : error.message;
      throw Object.assign(new Error(`Cannot read safetensors ${path}: ${reason}`, { cause: error }));
    });
    const missing = names.find((name) => !Object.hasOwn(shard.tensors, name));
    if (missing !== undefined)
      throw new Error(`Cannot read safetensors ${path}: tensor "${missing}" is not in ${file}, where it says it is`);
    opened.set(file, shard);
  }
  const tensors = [...index].flatMap(([file, names]) => {
    const listed = new Set(names);
    return Object.entries((opened.get(file) as OpenSafetensors).tensors).filter(([name]) => listed.has(name));
  });
  const shards = [...opened.values()];
  return {
    tensors: Object.fromEntries(tensors),
    metadata: Object.assign({}, ...shards.map(({ metadata }) => metadata)),
    head: Buffer.concat(shards.map(({ head }) => head)),
  };
}

async function openFile(path: string): Promise<OpenSafetensors> {
  const refuse = (reason: string) => new Error(`Cannot read safetensors ${path}: ${reason}`);
  const file = await realpath(path);
  const handle = await open(file, "r");
  try {
    const made = await stampOf(handle);
    const prefix = await readRange(handle, 0, new Uint8Array(Math.min(PREFIX, made.size)));
    const json = await readRange(handle, PREFIX, new Uint8Array(headerLength(prefix, made.size, refuse)));
    const header: Header = parseHeader(json, made.size, refuse);
    const tensors = header.tensors.map(([name, range]) => [name, storedTensor({ path, file, name, range, made })]);
    return { tensors: Object.fromEntries(tensors), metadata: header.metadata, head: Buffer.concat([prefix, json]) };
  } finally {
    await handle.close();
  }
}
