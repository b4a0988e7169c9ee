/** Prompts of a file, in its order: what rows of a simulation take in turn. */
import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { parquetReadObjects, parquetSchema, parquetMetadataAsync } from "hyparquet";
import { badUsage, Failure, isFailure } from "../../schemas/failure.ts";
import { displayName } from "../../schemas/visible.ts";
import { openBuffer } from "../../store/places/buffers.ts";
import { csvRecords } from "../ingest/captions/csv.ts";
import { parsed } from "../ingest/captions/jsonl.ts";
import { NOT_UTF8, textOf, withoutMark } from "../ingest/captions/text.ts";

/** What a column or key of prompts may be called; the first of them that is there counts. */
const NAMES = ["prompt", "text", "caption"];

/** By the file's ending: its prompts, or an Error that says what is wrong with it. */
const readers: Readonly<Record<string, (path: string) => Promise<string[]>>> = {
  ".txt": async (path) => (await contentOf(path)).split(/\r\n|\n|\r/),
  ".csv": async (path) => csvPrompts(withoutMark(await readFile(path))),
  ".jsonl": async (path) =>
    (await contentOf(path)).split(/\r\n|\n|\r/).flatMap((line, i) => {
      if (line.trim() === "") return [];
      const value = parsed(line);
      if (!value) throw new Error(`line ${i + 1} is not a JSON object`);
      return promptOf(value, Object.keys(value), `line ${i + 1}`);
    }),
  ".parquet": parquetPrompts,
};

/**
 * The prompts of a text file (one a line), or of the column "prompt", "text" or "caption" of a CSV, JSON lines or Parquet file; empty
 * ones are passed over. Throws a usage failure for another kind of file, and a Failure where it has none or cannot be read.
 */
export async function readPrompts(path: string): Promise<string[]> {
  const reader = readers[extname(path).toLowerCase()];
  if (!reader) throw badUsage(`Cannot read prompts from ${path}: expected a file that ends in ${Object.keys(readers).join(", ")}`);
  const texts = await reader(path).catch((error: NodeJS.ErrnoException) => {
    if (isFailure(error) || error.syscall !== undefined) throw error;
    throw new Failure(`Cannot read prompts from ${path}: ${error.message}. Mend the file, or name another with --prompts.`);
  });
  const prompts = texts.map((text) => text.trim()).filter(Boolean);
  if (prompts.length > 0) return prompts;
  throw new Failure(`Cannot take prompts from ${path}: it has none. Write one a line, or name another file with --prompts.`);
}

/** A file's text. Throws an Error where it is none. */
async function contentOf(path: string): Promise<string> {
  const text = textOf(withoutMark(await readFile(path)));
  if (text === undefined) throw new Error(NOT_UTF8);
  return text;
}

function csvPrompts(bytes: Uint8Array): string[] {
  let head: string[] | undefined;
  const prompts: string[] = [];
  for (const { row, fields, wrong } of csvRecords(bytes)) {
    if (wrong) throw new Error(`row ${row}: ${wrong.detail?.() ?? wrong.reason}`);
    if (!head) head = fields.map((name) => name.trim().toLowerCase());
    else if (fields.length !== head.length) throw new Error(`row ${row} has ${fields.length} fields, and the head has ${head.length}`);
    else prompts.push(...promptOf(Object.fromEntries(head.map((name, i) => [name, fields[i]])), head, `row ${row}`));
  }
  return prompts;
}

async function parquetPrompts(path: string): Promise<string[]> {
  const file = await openBuffer(path);
  try {
    const metadata = await parquetMetadataAsync(file);
    const names = parquetSchema(metadata).children.map(({ element }) => element.name);
    const rows = await parquetReadObjects({ file, metadata, columns: names.filter((name) => NAMES.includes(name)) });
    if (rows.length === 0) return [];
    return rows.flatMap((row, i) => promptOf(row, names, `row ${i + 1}`));
  } finally {
    await file.close();
  }
}

/** The prompt of a row with these columns; none where it is null. Throws an Error that names the `place` where there is no such column. */
function promptOf(row: Readonly<Record<string, unknown>>, columns: readonly string[], place: string): string[] {
  const name = NAMES.find((each) => columns.includes(each));
  if (name === undefined) throw new Error(`${place} has no ${NAMES.join(", ")}, only ${displayName(columns.join(", "))}`);
  const value = row[name];
  if (value === null || value === undefined) return [];
  if (typeof value === "string") return [value];
  throw new Error(`the ${name} of ${place} is not a text`);
}
