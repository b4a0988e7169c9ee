/** Exports a model as a web page: its graphs, its teacher's where one is to be drawn beside it, and the page around them. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { Context } from "../../../schemas/events.ts";
import { Failure } from "../../../schemas/failure.ts";
import { onestepJson } from "../../../schemas/onestep-json.ts";
import type { Settings } from "../../../schemas/settings.ts";
import { inFolder } from "../../runs/folder.ts";
import { readDenoiser } from "../../runs/model.ts";
import { exportOnnx } from "../onnx/export.ts";
import { claimFolder } from "../write.ts";
import { runtimeFiles } from "./runtime.ts";
import { modelFolders, writeSite } from "./site.ts";

/**
 * Writes the site of the run `run` into `out`, and answers what is to be told of it. `teacher` is a run too. Graphs that are there already
 * are not made again. Throws a Failure where a model has no graphs or is nothing for a browser, where ONNX Runtime's files are absent,
 * or where another export stands at `out`.
 */
export async function exportWeb(options: {
  run: string;
  teacher?: string | undefined;
  out: string;
  half?: boolean;
  licence?: string | undefined;
  settings: Settings;
  context: Context;
}): Promise<Record<string, string | number>> {
  const { run, teacher, out, half: isHalf = false, licence, settings, context } = options;
  await runtimeFiles("wasm"); // where they are absent, that is told before the work
  const runs = { student: run, ...(teacher !== undefined && { teacher }) };
  const models = await Promise.all(Object.values(runs).map((path) => readDenoiser(path, context)));
  if (models.some(({ description }) => description.spec.network.control)) {
    throw new Failure(
      `Cannot export ${run} as a web page: it draws from an image's tokens, which nobody types. Use --format onnx, which takes them.`,
    );
  }
  const dtype = isHalf ? "F16" : "F32";
  return inFolder({ folder: out, kind: "export", command: "export", context }, async () => {
    const identity = { format: "web", weights: models[0]!.description.hash, dtype, teacher: models[1]?.description.hash ?? "" };
    await claimFolder(out, { ...identity, ...(licence && { licence }) });
    for (const [i, [who, path]] of Object.entries(runs).entries()) {
      const folder = join(out, modelFolders[who as keyof typeof modelFolders]);
      if (await isThere(folder, models[i]!.description.hash)) continue;
      await exportOnnx({ run: path, out: folder, model: models[i]!, isHalf, licence, settings, context });
    }
    const { ownBytes, site } = await writeSite({ out, title: titleOf(run) });
    const { bytes } = site.runtimes.wasm.program;
    return { out, format: "web", weights: models[0]!.description.hash, "bytes of the page": ownBytes, "bytes of the runtime": bytes };
  });
}

/** Whether a model's folder is whole: onestep.json is written last. */
async function isThere(folder: string, weights: string): Promise<boolean> {
  const path = join(folder, "onestep.json");
  if (!existsSync(path)) return false;
  return onestepJson.safeParse(JSON.parse(await readFile(path, "utf8"))).data?.weights === weights;
}

/** A student is called by its folder; where that says no more than that it is one, by the folder around it too. */
function titleOf(run: string): string {
  const path = resolve(run);
  const name = basename(path);
  return name === "student" ? `${basename(join(path, ".."))} student` : name;
}
