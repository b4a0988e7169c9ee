/** Description files (model.json, codec.json): read, checked by their schema and by the seal they carry (schemas/seal.ts). */
import { readFile } from "node:fs/promises";
import type * as z from "zod";
import { Failure } from "../../schemas/failure.ts";
import { isUrl, within } from "../../store/places/place.ts";
import { missingFrom, partsInstead } from "../../store/places/output.ts";
import { readText } from "../../store/places/text.ts";
import { descriptionVersion, sealOf } from "../../schemas/seal.ts";

/** What a kind of description asks of its files. */
export interface DescriptionKind<D> {
  /** Its file's name, "model.json". */
  file: string;
  /** Its `format`. Descriptions of version 1 may lack it, and their version with it. */
  format: string;
  /** Of all but format, version and seal. */
  schema: z.ZodType<D>;
  /** What is wrong with a description that has the schema's form, by key: what only models/ knows. */
  problems?: (description: D) => { key: string; problem: string }[];
  /** The commands that make such a folder, in words. */
  maker: string;
}

export interface Described<D> {
  path: string;
  description: D;
  /** False in files of version 1: nobody can tell whether they are as they were written. */
  isSealed: boolean;
}

/**
 * Reads a description from a folder. Throws a Failure where there is none, where it is not JSON or of another form, and
 * where its seal is not that of its content.
 */
export async function readDescription<D>(folder: string, kind: DescriptionKind<D>): Promise<Described<D>> {
  const { file, format, schema, problems, maker } = kind;
  const path = within(folder, file);
  const text = await textOf(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT" && error.code !== "ENOTDIR") throw error;
    const remedy = partsInstead(folder, ["student", "teacher"]) ?? `Name a folder that ${maker} made.`;
    throw new Failure(`Cannot read a network from "${folder}": ${missingFrom(folder, file)}. ${remedy}`);
  });
  const content = parsed(path, text);
  const { format: foundFormat, version = 1, seal, ...rest } = content;
  if (typeof version === "number" && version > descriptionVersion) {
    throw new Failure(`Cannot read ${path}: it has version ${version} and this program reads up to ${descriptionVersion}. Update onestep.`);
  }
  const isSealed = version === descriptionVersion;
  if ((!isSealed && version !== 1) || (foundFormat !== undefined || isSealed ? foundFormat !== format : false)) {
    throw new Failure(
      `Cannot use ${path}: its format is ${JSON.stringify(foundFormat)} in version ${JSON.stringify(version)}, expected "${format}" in ` +
        `version 1 or ${descriptionVersion}. Name a folder that ${maker} made.`,
    );
  }
  // A seal that an older description must not have is a key that it does not know.
  const found = schema.safeParse(isSealed || seal === undefined ? rest : { ...rest, seal });
  const wrong = found.success
    ? (problems?.(found.data) ?? []).map(({ key, problem }) => `${key}: ${problem}`)
    : found.error.issues.map((issue) => `${issue.path.join(".") || "the file"}: ${issue.message}`);
  if (!found.success || wrong.length > 0) {
    throw new Failure(`Cannot use ${path}: ${wrong.slice(0, 3).join("; ")}. Name a folder that ${maker} made.`);
  }
  if (isSealed && sealOf(content) !== seal) {
    const what = seal === undefined ? "it carries no seal, as each of its version does" : "its content does not fit its seal";
    throw new Failure(
      `Cannot trust ${path}: it is not the description that ${maker} wrote (${what}). ` +
        "Put the file back as it was, or make the folder anew.",
    );
  }
  return { path, description: found.data, isSealed };
}

/** The text of a file, or an error as the file system has it where there is none. */
async function textOf(path: string): Promise<string> {
  if (!isUrl(path)) return readFile(path, "utf8");
  const text = await readText(path);
  if (text === undefined) throw Object.assign(new Error(`there is no ${path}`), { code: "ENOENT" });
  return text;
}

/** The JSON object that a file holds. */
function parsed(path: string, text: string): Record<string, unknown> {
  let json: unknown;
  let reason = "it holds no object";
  try {
    json = JSON.parse(text);
  } catch (cause) {
    reason = `it is not JSON (${(cause as Error).message})`;
  }
  if (json !== null && typeof json === "object" && !Array.isArray(json)) return json as Record<string, unknown>;
  throw new Failure(`Cannot read ${path}: ${reason}. Put the file back as it was, or make the folder anew.`);
}
