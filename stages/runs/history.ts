/** What a training has told of itself so far: the lines of its metrics.jsonl. */
import { readFile } from "node:fs/promises";
import { writeAtomic } from "../../store/atomic.ts";

/** Figures of one step; which there are may change from line to line. */
export type Line = { step: number } & Record<string, number>;

/**
 * The lines up to step `from`, and nothing else in the file: a killed run may have logged steps after its last
 * checkpoint, which come again. A run from the beginning keeps none.
 */
export async function keepHistory(path: string, from: number): Promise<Line[]> {
  const text = await readFile(path, "utf8").catch(() => "");
  const lines = text.split("\n").flatMap((line) => parsed(line) ?? []);
  const kept = from === 0 ? [] : lines.filter(({ step }) => step <= from);
  await writeAtomic(path, kept.map((line) => `${JSON.stringify(line)}\n`).join(""));
  return kept;
}

/** A line; undefined where it was torn by a kill. */
function parsed(line: string): Line | undefined {
  try {
    return JSON.parse(line) as Line;
  } catch {
    return undefined;
  }
}

/** The names that any line has, in the order in which they appear. */
export function namesOf(history: readonly Line[]): string[] {
  const names = new Set<string>();
  for (const line of history) for (const name in line) names.add(name);
  names.delete("step");
  return [...names];
}

export interface Value {
  step: number;
  value: number;
}

/** One figure's values, of the lines that have it. */
export function valuesOf(history: readonly Line[], name: string): Value[] {
  const values: Value[] = [];
  for (const line of history) {
    const value = line[name];
    if (value !== undefined) values.push({ step: line.step, value });
  }
  return values;
}
