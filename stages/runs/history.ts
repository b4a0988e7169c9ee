/** What a training has told of itself so far: the lines of its metrics.jsonl. */
import { readFile } from "node:fs/promises";
import type { Line } from "../../schemas/figures.ts";
import { parsedJson } from "../../schemas/json.ts";
import { absent } from "../../schemas/system-error.ts";
import { writeAtomic } from "../../store/places/atomic.ts";

/** All lines there are, none without the file; one that a kill has torn is left out. Throws where the file cannot be read. */
export async function readHistory(path: string): Promise<Line[]> {
  const text = (await readFile(path, "utf8").catch(absent)) ?? "";
  return text.split("\n").flatMap((line) => (parsedJson(line) as Line | undefined) ?? []);
}

/**
 * The lines up to step `from`, and nothing else in the file: a killed run may have logged steps after its last
 * checkpoint, which come again. A run from the beginning keeps none. Throws where the file is there and cannot be read.
 */
export async function keepHistory(path: string, from: number): Promise<Line[]> {
  const lines = await readHistory(path);
  const kept = from === 0 ? [] : lines.filter(({ step }) => step <= from);
  await writeAtomic(path, kept.map((line) => `${JSON.stringify(line)}\n`).join(""));
  return kept;
}
