/**
 * pipeline export PATH --format FORMAT --out FOLDER
 *
 * finished store | columns | files of another format; runs go by export-model.ts
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Context } from "../schemas/events.ts";
import { badUsage, Failure } from "../schemas/failure.ts";
import { didYouMean } from "../schemas/nearest.ts";
import { exportFormats, shardFormats } from "../stages/export/formats.ts";
import { claimFolder, writeNpyFiles, writeShardFiles } from "../stages/export/write.ts";
import { graphFormats, modelFormats } from "../stages/export/model/formats.ts";
import { isPublishedTeacher } from "../stages/published/teacher.ts";
import { inFolder } from "../stages/runs/folder.ts";
import { exportModel } from "./export-model.ts";
import { exportGraphs } from "./export-onnx.ts";
import { exportPage } from "./export-web.ts";
import { checkBooks } from "../store/shards/books.ts";
import { isUrl } from "../store/places/place.ts";
import { openStore } from "../store/shards/store.ts";
import { readSummary } from "../store/shards/summary.ts";

/** Exports what a folder holds, a run or a store. Throws a usage failure where a flag of runs is given for a store. */
export async function exportPath(options: Parameters<typeof exportModel>[0] & Partial<Parameters<typeof exportGraphs>[0]>): Promise<void> {
  const { path, format, teacher, half, licence, settings } = options;
  const isGraphs = graphFormats.some((name) => name === format);
  if (!isUrl(path) && (existsSync(join(path, "model.json")) || (isGraphs && isPublishedTeacher(path)))) {
    if (format === "onnx" && settings) return exportGraphs({ ...options, settings });
    if (format === "web" && settings) return exportPage({ ...options, run: path, settings });
    if (licence !== undefined) throw badUsage(`Cannot use --licence for ${format}: its README names the teacher, whose licence holds`);
    return exportModel(options);
  }
  const flag = Object.entries({ "--teacher": teacher !== undefined, "--half": half, "--licence": licence !== undefined }).find(
    ([, is]) => is,
  )?.[0];
  if (flag) throw badUsage(`Cannot use ${flag} for ${path}: it holds no run (model.json); it is for the export of students`);
  if (!exportFormats.includes(format) && [...modelFormats, ...graphFormats].some((name) => name === format)) {
    const student = join(path, "student");
    const remedy = !isUrl(path) && existsSync(join(student, "model.json")) ? `name ${student}` : "name the folder of a student or teacher";
    throw badUsage(`Cannot export ${path} as ${format}: it holds no run (model.json); ${remedy}`);
  }
  return exportStore(options);
}

/**
 * Writes a finished store as files that other tools load, one shard in memory; noise is written out where the store
 * derives it. Goes on where an earlier run of the same export stopped. Throws a Failure on a damaged shard, when the store
 * is not finished, or when another export stands at `out`.
 */
export async function exportStore(options: { path: string; format: string; out: string; context: Context }): Promise<void> {
  const { path, format, out, context } = options;
  const { signal, report } = context;
  const shardFormat = Object.hasOwn(shardFormats, format) ? shardFormats[format] : undefined;
  if (!exportFormats.includes(format)) {
    throw badUsage(`Cannot export as "${format}": ${didYouMean(format, exportFormats, `expected ${exportFormats.join(", ")}`)}`);
  }
  const store = await openStore({ folder: path });
  const summary = await readSummary(store);
  if (!summary) throw new Failure(`Cannot export ${path}: it is not finished. Repeat the command that made it, then export.`);
  await checkBooks(store);
  const { rows, contents } = summary;
  const onShard = (done: number) => report({ type: "progress", stage: "export", done, total: store.shards, unit: "shards" });
  const common = { store, out, signal, onShard };
  const files = await inFolder({ folder: out, kind: "export", command: "export", context }, async () => {
    await claimFolder(out, { format, contents, rows, manifest: store.manifest });
    return shardFormat ? writeShardFiles({ ...common, format: shardFormat }) : writeNpyFiles({ ...common, rows });
  });
  report({ type: "result", stage: "export", values: { out, format, rows, "files written": files } });
}
