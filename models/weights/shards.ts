/**
 * The index of a checkpoint in several safetensors files, as Hugging Face's libraries write it beside them:
 * {"metadata": {...}, "weight_map": {"tensor's name": "model-00001-of-00003.safetensors", ...}}.
 */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";

/**
 * Which tensors of an index lie in which file: full paths to names, files in order of their names. The index decides: a
 * tensor of a file that it does not name belongs to another checkpoint. Throws an Error that names the index where it is
 * malformed or names files outside of its folder.
 */
export async function parseIndex(path: string): Promise<Map<string, string[]>> {
  const refuse = (reason: string) => new Error(`Cannot read safetensors ${path}: ${reason}`);
  const files = new Map<string, string[]>();
  for (const [name, file] of Object.entries(weightMap(await readFile(path, "utf8"), refuse))) {
    if (typeof file !== "string" || !/^[^/\\]+\.safetensors$/.test(file)) {
      throw refuse(`it puts tensor "${name}" in ${JSON.stringify(file)}, which is not the name of a safetensors file beside it`);
    }
    const full = join(dirname(path), file);
    files.set(full, [...(files.get(full) ?? []), name]);
  }
  if (files.size === 0) throw refuse("its weight_map names no tensor");
  return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function weightMap(text: string, refuse: (reason: string) => Error): Record<string, unknown> {
  try {
    const { weight_map: map } = JSON.parse(text) as { weight_map?: unknown };
    if (map !== null && typeof map === "object" && !Array.isArray(map)) return map as Record<string, unknown>;
  } catch {
    // Reported below, like an index without a map.
  }
  throw refuse("it is not a JSON object with a weight_map");
}
