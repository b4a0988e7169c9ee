/**
 * pipeline serve PATH [--port N]
 *
 * site, student, run page or store | what shows it | this machine's browser
 */
import { existsSync, statSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Context } from "../schemas/events.ts";
import { badUsage } from "../schemas/failure.ts";
import type { Settings } from "../schemas/settings.ts";
import { exportWeb } from "../stages/export/web/export.ts";
import { sitePolicy } from "../stages/export/web/page.ts";
import { reportSource } from "../stages/inspect/report/serve.ts";
import type { Source } from "../stages/serve/answer.ts";
import { folderSource, pageSource } from "../stages/serve/folder.ts";
import { serveSource } from "../stages/serve/listen.ts";
import { partsInstead } from "../store/places/output.ts";
import { isUrl } from "../store/places/place.ts";
import { openStore } from "../store/shards/store.ts";

/**
 * Shows what stands at `path` to this machine's browser until the context's signal aborts: the live report of a store, a site of
 * `export --format web`, that of a student, which is made for the time being, or the page of a run. Throws a usage failure
 * for anything else, a Failure where the port cannot be had.
 */
export async function serve(options: { path: string; port: number; settings: Settings; context: Context }): Promise<void> {
  const { path, port, settings, context } = options;
  const source = await sourceFor(path, settings, context);
  await serveSource({ source, shows: path, port, context });
}

async function sourceFor(path: string, settings: Settings, context: Context): Promise<Source> {
  if (isUrl(path)) return reportSource({ store: await openStore({ folder: path }), engine: settings.engine, context });
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile() && basename(path) === "run.html") return pageSource(path);
  if (!found?.isDirectory()) {
    throw badUsage(`Cannot serve "${path}": ${found ? "it is no folder" : "there is no such folder"}. ${insteadOf(path)}`);
  }
  const has = (name: string): boolean => existsSync(join(path, name));
  if (has("store.json")) return reportSource({ store: await openStore({ folder: path }), engine: settings.engine, context });
  if (has("index.html")) return folderSource(path, policy);
  if (has("model.json") && (await isStudent(path))) return studentSource(path, settings, context);
  if (has("run.html")) return pageSource(join(path, "run.html"));
  throw badUsage(`Cannot serve "${path}": it is neither a site, a student, a run nor a store. ${insteadOf(path)}`);
}

const policy = `${sitePolicy}; frame-ancestors 'none'`;

/** Whether a run folder holds a student, which draws; of a teacher and other networks the page of their training is shown. */
async function isStudent(path: string): Promise<boolean> {
  const { role } = JSON.parse(await readFile(join(path, "model.json"), "utf8")) as { role?: string };
  return role === "student";
}

/** The site of a student, in a temporary folder that goes when nobody looks any more. */
async function studentSource(path: string, settings: Settings, context: Context): Promise<Source> {
  const folder = await mkdtemp(join(tmpdir(), "onestep-site-"));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    await exportWeb({ run: path, out: folder, settings, context });
  } catch (error) {
    await remove();
    throw error;
  }
  return { ...folderSource(folder, policy), close: remove };
}

/** What to name instead: the parts of a folder that `run` made, where it is one. */
const insteadOf = (path: string): string =>
  partsInstead(path, ["site", "student", "teacher", "triples", "latents"]) ??
  "Name a folder that `export --format web` or another command wrote with --out.";
