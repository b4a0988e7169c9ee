/** A student as a folder that Python's diffusers loads: its network, the scheduler that asks it, and its teacher's other parts. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { besidePart, openPart } from "../../../models/published/part-files.ts";
import { Failure } from "../../../schemas/failure.ts";
import { writeAtomic } from "../../../store/places/atomic.ts";
import type { Denoiser } from "../../runs/model.ts";
import { copyPart, jsonText, type StoredAs, writeNetwork } from "./parts.ts";
import type { Asking } from "./scheduler.ts";
import { configOf } from "./size.ts";
import { isEncoder, partOf, type Source } from "./source.ts";

/** Parts without which a pipeline draws all the same: it is saved without them where the teacher's folder lacks them. */
const SPARE = ["safety_checker", "feature_extractor", "image_encoder"];

/** A part's library and class, as model_index.json has it. */
type Entry = readonly [library: string | null, name: string | null];

/**
 * Writes the folder; what is there already of the teacher's parts is written again, the same. Throws a Failure where a part of the
 * teacher is missing.
 */
export async function writeDiffusers(options: {
  out: string;
  model: Denoiser;
  source: Source;
  asking: Asking;
  dtype: StoredAs;
  onPart: (part: string) => void;
}): Promise<void> {
  const { out, model, source, asking, dtype, onPart } = options;
  const { description, weights } = model;
  const json = configOf(description, pipelineOf(source));
  const index = { ...source.index };
  for (const [part, entry] of Object.entries(index)) {
    if (!isPart(entry) || part === source.part || part === "scheduler") continue;
    const found = await writePart({ part, source, out, dtype });
    if (!found && !SPARE.includes(part)) {
      throw new Failure(
        `Cannot export to ${out}: the student needs its teacher's ${part}, and ${besidePart(join(source.path, part))} is not there. ` +
          "Fetch it, or name another place of the same pipeline with --teacher.",
      );
    }
    if (!found) index[part] = [null, null];
    onPart(part);
  }
  await writeNetwork({ folder: join(out, source.part), json, weights, dtype, stem: "diffusion_pytorch_model" });
  onPart(source.part || "network");
  await writeScheduler(out, asking);
  if (source.part !== "")
    await writeAtomic(join(out, "model_index.json"), jsonText({ ...index, scheduler: ["diffusers", asking.scheduler._class_name] }));
}

/** The scheduler alone, in its usual folder. */
export async function writeScheduler(out: string, { scheduler }: Asking): Promise<void> {
  await writeAtomic(join(out, "scheduler", "scheduler_config.json"), jsonText(scheduler));
}

/** Writes a part of the teacher; answers whether it is there. */
async function writePart({ part, source, out, dtype }: { part: string; source: Source; out: string; dtype: StoredAs }): Promise<boolean> {
  const [from, folder] = [join(source.path, part), join(out, part)];
  const own = [...(source.single?.parts ?? [])].find(([name]) => name === part);
  const isChanged = source.loras.length > 0 && isEncoder(part);
  if (own || (isChanged && existsSync(from))) {
    const json = own ? own[1].config : (await openPart(from)).json;
    const { weights } = await partOf(source, part);
    await writeNetwork({ folder, json, weights, dtype, stem: part === "vae" ? "diffusion_pytorch_model" : "model" });
    return true;
  }
  if (!existsSync(besidePart(from))) return false;
  await copyPart(besidePart(from), folder);
  return true;
}

const isPart = (entry: unknown): entry is Entry => Array.isArray(entry) && entry[1] !== null;

/** The class of a source's pipeline. */
export const pipelineOf = (source: Source): string => String(source.index._class_name ?? "");
