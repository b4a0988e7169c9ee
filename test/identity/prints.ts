/** Fingerprints of what a job made: weights by their values (not the file's metadata), and every file of a store. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { hashWeights } from "../../engine/weights.ts";
import { loadWeights } from "../../models/weights/load.ts";

const WEIGHTS = /^(weights|codec)\.safetensors$/;
const STORES = ["latents", "triples"];

/** Fingerprints below `folder` by path: of the networks of runs, and of the files of stores. */
export async function fingerprints(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    const name = path.slice(folder.length + 1);
    if (!entry.isFile()) continue;
    if (STORES.includes(name.split("/")[0]!))
      found[name] = createHash("sha256")
        .update(await readFile(path))
        .digest("hex")
        .slice(0, 16);
    else if (WEIGHTS.test(entry.name)) found[name] = hashWeights((await loadWeights(path)).weights).slice(0, 16);
  }
  return Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** One fingerprint of many: stores in one line each. */
export function summarised(prints: Record<string, string>): Record<string, string> {
  const summary: Record<string, string> = {};
  for (const store of STORES) {
    const files = Object.entries(prints).filter(([name]) => name.startsWith(`${store}/`));
    if (files.length > 0) summary[store] = createHash("sha256").update(JSON.stringify(files)).digest("hex").slice(0, 16);
  }
  for (const [name, print] of Object.entries(prints)) if (!STORES.includes(name.split("/")[0]!)) summary[name] = print;
  return summary;
}
