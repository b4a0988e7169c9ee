/**
 * Names that take long to collect, kept in the user's cache folder: to list settings and methods every method's file is
 * loaded, and with them TensorFlow.js, which a shell that waits for a completion would notice.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { version } from "../schemas/package.ts";

/** Answers the list of that name: the remembered one, or what `make` makes, which is then remembered. */
export type Remembered = (name: string, make: () => Promise<readonly string[]>) => Promise<readonly string[]>;

interface Kept {
  stamp: string;
  lists: Record<string, readonly string[]>;
}

/** A memory of lists in `folder`. It forgets them all when `stamp` is another, which it is when a file of the program changes. */
export function createMemory({ folder = cacheFolder(), stamp = programStamp() }: { folder?: string; stamp?: string } = {}): Remembered {
  const path = join(folder, "completion.json");
  return async (name, make) => {
    const lists = read(path, stamp);
    const known = lists[name];
    if (known !== undefined) return known;
    const made = await make();
    write({ folder, path, kept: { stamp, lists: { ...lists, [name]: made } } });
    return made;
  };
}

function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "onestep");
}

/** Where the program lies, its version, and in a checkout the count and latest change of the files that names come from. */
function programStamp(): string {
  const root = fileURLToPath(new URL("../", import.meta.url));
  const folders = ["bin", "methods", "models", "pipelines", "recipes", "schemas", "stages"].map((folder) => join(root, folder));
  const times = folders.flatMap((folder) => {
    try {
      return readdirSync(folder, { recursive: true, encoding: "utf8" }).map((file) => statSync(join(folder, file)).mtimeMs);
    } catch {
      return []; // a file that went while it was looked for makes the stamp another, no error
    }
  });
  return [root, version(), times.length, times.reduce((latest, time) => Math.max(latest, time), 0)].join(" ");
}

/** The lists of a file; none where it is missing, broken, or of another stamp. */
function read(path: string, stamp: string): Kept["lists"] {
  try {
    const kept = JSON.parse(readFileSync(path, "utf8")) as Kept;
    return kept.stamp === stamp ? kept.lists : {};
  } catch {
    return {};
  }
}

/** Replaces the file at once, since two shells may complete at the same time; a folder that refuses it only costs the time. */
function write({ folder, path, kept }: { folder: string; path: string; kept: Kept }): void {
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(`${path}.${process.pid}`, JSON.stringify(kept));
    renameSync(`${path}.${process.pid}`, path);
  } catch {}
}
