/** What stands in the way of an output, found before the work whose result it would hold. */
import { existsSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, extname, join, resolve } from "node:path";
import { badUsage, type Failure } from "../../schemas/failure.ts";
import { writeError } from "../../schemas/system-error.ts";
import { displayName } from "../../schemas/visible.ts";
import { temporaryName } from "./atomic.ts";
import { isUrl, placeOf } from "./place.ts";

/** Letters that the names of temporary files and of settings beside an output add to its own. */
const ADDED = 64;

/**
 * Throws a Failure of one sentence where `path` cannot become a file or a folder to write in: something else stands there, a
 * file stands where one of its folders should, the name is too long or has another ending, or nothing may be written.
 * Leaves everything as it is. A folder's content is not looked at.
 *
 * @example
 * import { checkOutput } from "./output.ts";
 * checkOutput({ path: `${folder}/new/run`, kind: "folder", what: "--out" });
 * assert.throws(() => checkOutput({ path: `${folder}/grid.jpg`, kind: "file", what: "--out", extensions: [".png"] }), /\.png/);
 */
export function checkOutput(options: {
  path: string;
  kind: "file" | "folder";
  /** What names it in sentences, as "--out". */
  what: string;
  /** Endings of which a file's name has one. */
  extensions?: readonly string[];
}): void {
  const { path, kind, what, extensions = [] } = options;
  if (isUrl(path)) return void placeOf(path);
  const shown = displayName(path);
  const refuse = (reason: string): Failure => badUsage(`Cannot write ${shown} (${what}): ${reason}`);
  const found = statOf(path);
  if (kind === "folder" && found && !found.isDirectory()) throw refuse("a file stands there; name a folder, or move the file away");
  if (kind === "file") {
    const example = extensions[0] ?? "";
    if (found?.isDirectory()) throw refuse(`a folder stands there; name a file, as in ${displayName(join(path, `file${example}`))}`);
    if (found && !found.isFile()) throw refuse("what stands there is no ordinary file; name another");
    if (/[\\/]$/.test(path)) throw refuse(`the name ends as a folder's; name a file, as in ${displayName(join(path, `file${example}`))}`);
    if (example !== "" && !extensions.includes(extname(path).toLowerCase())) {
      throw refuse(`the file's name must end in ${extensions.join(" or ")}, as in ${displayName(withEnding(path, example))}`);
    }
  }
  statOf(kind === "file" ? path + "x".repeat(ADDED) : join(path, "x".repeat(ADDED)), path);
  const ground = found?.isDirectory() ? path : groundOf(resolve(path), refuse);
  try {
    const probe = join(ground, temporaryName("output"));
    writeFileSync(probe, "", { flag: "wx" });
    rmSync(probe, { force: true });
  } catch (error) {
    throw writeError(path, error);
  }
}

/**
 * Throws a usage failure of one sentence where something stands at `path` that is no folder: whether there is anything at
 * all, and of which kind, is for its reader to say.
 *
 * @example
 * import { checkInputFolder } from "./output.ts";
 * checkInputFolder({ path: latents.folder, what: "--store" });
 * assert.throws(() => checkInputFolder({ path: `${latents.folder}/store.json`, what: "--store" }), /is a file/);
 */
export function checkInputFolder({ path, what }: { path: string; what: string }): void {
  if (isUrl(path)) return void placeOf(path);
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== false) return;
  throw badUsage(`Cannot read ${displayName(path)} (${what}): it is a file; name the folder of a store or run`);
}

/**
 * What is missing where a folder lacks the file by which it is known: the folder itself, or that file.
 *
 * @example
 * import { missingFrom } from "./output.ts";
 * assert.equal(missingFrom(latents.folder, "model.json"), "it has no model.json");
 * assert.equal(missingFrom(`${latents.folder}/mistyped`, "model.json"), "there is no such folder");
 */
export function missingFrom(folder: string, file: string): string {
  return isUrl(folder) || existsSync(folder) ? `it has no ${file}` : "there is no such folder";
}

/**
 * What to name in place of a folder that `run` made: those of its parts that are there. Undefined where it has none.
 *
 * @example
 * import { partsInstead } from "./output.ts";
 * assert.equal(partsInstead(`${latents.folder}/..`, ["student", "teacher"]), undefined);
 */
export function partsInstead(folder: string, parts: readonly string[]): string | undefined {
  const there = isUrl(folder) ? [] : parts.filter((part) => existsSync(join(folder, part)));
  return there[0] === undefined ? undefined : `It holds ${there.join(", ")}: name one of these, as in ${join(folder, there[0])}.`;
}

/** What stands at a path; undefined for nothing. A name too long or a file on the way is the system's to tell. */
function statOf(path: string, shown = path) {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw writeError(shown, error);
  }
}

/** The nearest folder above a path that is there. */
function groundOf(path: string, refuse: (reason: string) => Failure): string {
  const above = dirname(path);
  const found = statOf(above);
  if (found?.isDirectory()) return above;
  if (found) throw refuse(`${displayName(above)} is a file, so nothing can be put into it; name another place`);
  return groundOf(above, refuse);
}

const withEnding = (path: string, ending: string): string => join(dirname(path), basename(path, extname(path)) + ending);
