/**
 * pipeline export PATH --format FORMAT --out FOLDER [--teacher PIPELINE] [--half]
 *
 * student, its teacher's pipeline | published names and layouts | files that others' tools load
 */
import { join } from "node:path";
import type { Context } from "../schemas/events.ts";
import { Failure } from "../schemas/failure.ts";
import { version } from "../schemas/package.ts";
import { cardOf } from "../stages/export/model/card.ts";
import { pipelineOf, writeDiffusers, writeScheduler } from "../stages/export/model/diffusers.ts";
import { formatFor } from "../stages/export/model/formats.ts";
import { writeLoraFile } from "../stages/export/model/lora.ts";
import { writeNetworkAlone } from "../stages/export/model/network-alone.ts";
import type { StoredAs } from "../stages/export/model/parts.ts";
import { askingOf } from "../stages/export/model/scheduler.ts";
import { writeSingleFile } from "../stages/export/model/single-file.ts";
import { sourceOf } from "../stages/export/model/source.ts";
import { claimFolder } from "../stages/export/write.ts";
import { inFolder } from "../stages/runs/folder.ts";
import { readLora } from "../stages/runs/lora.ts";
import { readDenoiser } from "../stages/runs/model.ts";
import { writeAtomic } from "../store/places/atomic.ts";

/**
 * Writes a student of a published network in a format that others' tools load, beside what its teacher's pipeline has besides the
 * network: that is looked for where the teacher was, or at `teacher`. A folder of diffusers holds the whole network, with the LoRA
 * added where one was trained. Weights are float32 as they are, or rounded to `half`. Throws a Failure where the network has no such
 * format, the teacher's pipeline is not there, or another export stands at `out`.
 */
export async function exportModel(options: {
  path: string;
  format: string;
  out: string;
  teacher?: string | undefined;
  half?: boolean;
  context: Context;
}): Promise<void> {
  const { path, out, teacher, half = false, context } = options;
  const model = await readDenoiser(path, context);
  const { description, weights } = model;
  const format = formatFor(path, description, options.format);
  const source = await sourceOf(path, description, teacher);
  const isAlone = source.part === "";
  if (isAlone !== (format === "safetensors") && format !== "lora" && format !== "kohya") {
    const [why, remedy] = isAlone
      ? ["no class of diffusers is its network", "--format safetensors, as it was published"]
      : ["its network belongs to a pipeline", "--format diffusers, which has it in a folder of its own"];
    throw new Failure(`Cannot export ${path} as ${format}: ${why}. Use ${remedy}.`);
  }
  const lora = format === "lora" || format === "kohya" ? await readLora(path) : undefined;
  const asking = isAlone ? undefined : askingOf(description, pipelineOf(source));
  const dtype: StoredAs = half ? "F16" : "F32";
  await inFolder({ folder: out, kind: "export", command: "export", context }, async () => {
    await claimFolder(out, { format, weights: description.hash, dtype, teacher: source.path });
    if (asking && format === "diffusers") {
      const onPart = (part: string) => context.report({ type: "note", stage: "export", message: `wrote ${join(out, part)}` });
      await writeDiffusers({ out, model, source, asking, dtype, onPart });
    } else if (asking) await writeScheduler(out, asking);
    if (lora) await writeLoraFile({ out, format: format as "lora", lora, part: source.part || "unet", dtype });
    if (format === "single-file") await writeSingleFile({ out, weights, source, dtype });
    if (format === "safetensors") await writeNetworkAlone({ out, model, source, dtype });
    const about = { format, description, pipeline: pipelineOf(source), teacher: source.path, asking, version: version() };
    await writeAtomic(join(out, "README.md"), cardOf({ ...about, ...(lora && { factor: lora.alpha / lora.rank }) }));
  });
  const call = Object.entries(asking?.call ?? {}).map((each) => each.join("="));
  const values = { out, format, ...(call.length > 0 && { call: call.join(", ") }), weights: description.hash };
  context.report({ type: "result", stage: "export", values });
}
