/**
 * pipeline inspect PATH [--rows N] [--grid FILE.png] [--sql SELECT] [--why ID] [--redo ID] [--diff STORE] [--html FILE.html]
 *   [--parity GOLDEN.safetensors]
 *
 * store or run | rows that fit | facts, pictures, SQL, provenance, differences, a report
 */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Context } from "../schemas/events.ts";
import { badUsage, Failure } from "../schemas/failure.ts";
import { version } from "../schemas/package.ts";
import type { Settings } from "../schemas/settings.ts";
import { diffStores } from "../stages/inspect/diff.ts";
import { healthOf } from "../stages/inspect/health.ts";
import { redoRow, whyRow } from "../stages/inspect/provenance.ts";
import { writeReport } from "../stages/inspect/report/report.ts";
import { describeRun } from "../stages/inspect/run.ts";
import { showRows } from "../stages/inspect/show.ts";
import { answerSql } from "../stages/inspect/sql.ts";
import { channelTable, factsOf, outlierTable } from "../stages/inspect/facts.ts";
import { surveyShards } from "../stages/inspect/ends.ts";
import { damagedShards, type Survey, surveyStore } from "../stages/inspect/survey.ts";
import { columnsToFilter, parseWhere } from "../stages/inspect/where.ts";
import { isPublished } from "../stages/published/describe.ts";
import { isSingleFile } from "../models/published/single-file.ts";
import { partsInstead } from "../store/places/output.ts";
import { isUrl } from "../store/places/place.ts";
import { openStore, type Store } from "../store/shards/store.ts";
import { checkParity, inspectPublished } from "./inspect-published.ts";

/** What to show besides, or instead of, the facts. */
export interface Looks {
  /** The first so many rows, one a line. */
  rows?: number;
  /** Path of a PNG: rows as pictures; of a triple the noise, the states that are kept and the image in a line. */
  grid?: string;
  /** Which rows to print, draw or put into the report; see stages/inspect/where.ts. */
  where?: string;
  /** How many pictures; 64 unless told, 200 in a report. */
  limit?: number;
  /** Read the ends of the shards alone: no duplicates, no worst rows. */
  quick?: boolean;
  sql?: string;
  /** Id of a row to explain. */
  why?: number;
  /** Id of a triple to compute again. */
  redo?: number;
  /** Folders in which `why` and `redo` look up the teacher and the images; else those beside the store. */
  teacher?: string;
  conditions?: string;
  /** Another store to compare with. */
  diff?: string;
  /** Path of a page to write. */
  html?: string;
  /** golden.safetensors of a published pipeline, which is computed again. */
  parity?: string;
}

/**
 * Reports what a store or run holds, and what was asked for besides. Throws a usage failure for any other folder. Where a
 * part is damaged, all else is told and shown before the Failure that says so is thrown.
 */
export async function inspect(options: Looks & { path: string; settings: Settings; context: Context }): Promise<void> {
  const { path, settings, context, ...looks } = options;
  const { report, signal } = context;
  checkLooks(looks);
  if (looks.parity !== undefined) {
    if (isSingleFile(path))
      throw badUsage(`Cannot compare ${path}: golden vectors are of a folder. Make one of it with from_single_file and save_pretrained`);
    await checkParity({ folder: path, golden: looks.parity, engine: settings.engine, context });
    return;
  }
  if (isPublished(path)) {
    refuseRows(path, looks, "it is a published pipeline, whose parts --parity compares");
    return inspectPublished({ folder: path, context });
  }
  if (!isUrl(path) && !existsSync(join(path, "store.json"))) return inspectRun(path, looks, context);
  const store = await openStore({ folder: path });
  const where = looks.where === undefined ? undefined : parseWhere(looks.where, columnsToFilter(store.manifest));
  if (looks.sql !== undefined) {
    const rows = await answerSql(store, looks.sql, signal);
    report(rows.length > 0 ? { type: "table", stage: "sql", rows } : { type: "note", stage: "sql", message: "no row" });
    return;
  }
  const { teacher, conditions } = looks;
  if (looks.why !== undefined) {
    const values = await whyRow({ store, id: looks.why, teacher, conditions });
    report({ type: "result", stage: `row ${looks.why}`, values });
    return;
  }
  if (looks.redo !== undefined) {
    const values = await redoRow({ store, id: looks.redo, teacher, engine: settings.engine, version: version(), context });
    report({ type: "result", stage: "redo", values });
    return;
  }
  if (looks.diff !== undefined) {
    await compare(store, looks.diff, context);
    return;
  }
  if (looks.html !== undefined) {
    const survey = await surveyed(store, context);
    const values = await writeReport({
      store,
      survey,
      path: looks.html,
      where,
      limit: looks.limit ?? 200,
      engine: settings.engine,
      context,
    });
    report({ type: "result", stage: "report", values });
    refuseDamage(path, survey);
    return;
  }

  const seen = looks.quick ? await surveyShards(store, signal) : await surveyed(store, context);
  report({ type: "result", stage: path, values: await factsOf(store, seen) });
  if ("statistics" in seen) {
    const isKnown = seen.shards.some(({ state }) => state === "sound");
    if (isKnown) report({ type: "table", stage: "channels", rows: channelTable({ latent: seen.statistics }) });
  } else if (seen.rows > 0) {
    report({
      type: "table",
      stage: "channels",
      rows: channelTable({ latent: seen.latent.statistics, noise: seen.noise?.statistics, states: seen.course?.states }),
    });
    report({ type: "table", stage: "outliers", rows: outlierTable(seen) });
    const hints = healthOf(store.manifest, seen);
    const values = Object.keys(hints).length > 0 ? hints : { all: "nothing unusual was seen" };
    report({ type: "result", stage: "health", values });
  }
  if (looks.rows || looks.grid) {
    await showRows({ store, ...looks, where, except: damagedShards(seen), engine: settings.engine, context });
  }
  refuseDamage(path, seen);
}

/** Throws a Failure that names the first damaged shard, where one is damaged: what was shown stands, and is not of the whole store. */
function refuseDamage(path: string, { shards, planned }: Pick<Survey, "shards" | "planned">): void {
  const damaged = shards.filter(({ state }) => state === "damaged");
  const [first] = damaged;
  if (!first) return;
  const many = damaged.length === 1 ? `shard ${first.shard}` : `${damaged.length} shards, the first is ${first.shard},`;
  throw new Failure(
    `Cannot show all of ${path}: ${many} of ${planned} is damaged: ${first.problem}. ` +
      "Repeat the command that made the store with --repair.",
  );
}

/** Throws a usage failure for looks that exclude each other, or that would do nothing. */
function checkLooks(looks: Looks): void {
  const instead = (["sql", "why", "redo", "diff", "html", "parity"] as const).filter((name) => looks[name] !== undefined);
  const [first, second] = instead;
  if (second) throw badUsage(`Cannot use --${first} and --${second} at once: each is a look of its own`);
  const shows = looks.rows || looks.grid;
  if (first && shows) throw badUsage(`Cannot use --${first} and --${looks.rows ? "rows" : "grid"} at once: each is a look of its own`);
  const idle = (["where", "limit"] as const).find((name) => looks[name] !== undefined);
  if (idle && !looks.grid && first !== "html" && !(idle === "where" && shows)) {
    throw badUsage(
      `Cannot use --${idle} alone: it chooses rows for ${idle === "where" ? "--rows, --grid or --html" : "--grid or --html"}, so add ` +
        "one of these",
    );
  }
}

/** The id of a row as it was typed. Throws a usage failure for anything but a whole number. */
export function rowId(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw badUsage(`Cannot look up row "${text}": expected its id, a whole number from 0 on`);
}

/** What only the rows of a store can answer. */
const OF_ROWS = ["rows", "grid", "where", "sql", "why", "redo", "diff", "html"] as const satisfies (keyof Looks)[];

/** Throws a usage failure where rows of something that has none are asked for. */
function refuseRows(path: string, looks: Looks, why: string): void {
  if (OF_ROWS.some((name) => looks[name] !== undefined)) throw badUsage(`Cannot show rows of "${path}": ${why}`);
}

async function inspectRun(path: string, looks: Looks, { report }: Context): Promise<void> {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found?.isDirectory()) {
    throw badUsage(`Cannot inspect "${path}": ${found ? "it is no folder" : "there is no such folder"}. ${insteadOf(path)}`);
  }
  const run = await describeRun(path);
  if (!run) throw badUsage(`Cannot inspect "${path}": it is neither a store nor a run. ${insteadOf(path)}`);
  refuseRows(path, looks, `it is a run; its pictures are in ${join(path, "pictures")}`);
  if (Object.keys(run.facts).length > 0) report({ type: "result", stage: path, values: run.facts });
  if (run.problems.length > 0) throw new Failure(run.problems.join(" "));
}

async function compare(store: Store, other: string, { report, signal }: Context): Promise<void> {
  const onRow = (done: number) => report({ type: "progress", stage: "compare", done, unit: "rows" });
  const { settings, rows, examples, channels } = await diffStores(store, await openStore({ folder: other }), { signal, onRow });
  if (settings.length > 0) report({ type: "table", stage: "settings", rows: settings });
  else report({ type: "note", stage: "settings", message: "the same" });
  const { onlyA, onlyB, same, differing, conditions, latents, states, noises, largest } = rows;
  const values = {
    "only in A": onlyA,
    "only in B": onlyB,
    same,
    differing,
    "of another condition": conditions,
    "of another latent": latents,
    ...(states > 0 && { "of another state": states }),
    "of another seed": noises,
  };
  report({ type: "result", stage: "rows", values: { ...values, "largest latent difference": largest } });
  if (examples.length > 0) report({ type: "table", stage: "first rows that differ", rows: examples });
  report({ type: "table", stage: "channels", rows: channels });
}

/** Surveys a store, telling how far it is. */
async function surveyed(store: Store, { signal, report }: Context): Promise<Survey> {
  const onShard = (done: number, total: number) => report({ type: "progress", stage: "read", done, total, unit: "shards" });
  return surveyStore(store, { signal, onShard });
}

/** What to name instead: the parts of a folder that `run` made, where it is one. */
const insteadOf = (path: string): string =>
  partsInstead(path, ["latents", "triples", "student", "teacher"]) ?? "Name a folder that --out named.";
