/** Students of tiny published pipelines, as a training leaves them: for tests of what is exported. */
import { join } from "node:path";
import { hashWeights, type Weights } from "../../engine/weights.ts";
import { UP } from "../../models/layers.ts";
import { initAdapter } from "../../models/training/adapters.ts";
import { addLoras } from "../../models/training/lora.ts";
import { exportPath } from "../../pipelines/export.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import type { ImageSize } from "../../schemas/images.ts";
import type { DenoiserDescription } from "../../schemas/model.ts";
import { writeLora } from "../../stages/runs/lora.ts";
import { type Denoiser, readCodec, readDenoiser, writeCodec, writeModel } from "../../stages/runs/model.ts";
import { freshFolder } from "../simulate/fixture.ts";
import { recordingContext } from "../train/fixture.ts";
import { pipelines } from "./golden.ts";

export const at = (name: string): string => join(pipelines, name);

/**
 * A run folder: the teacher's weights, each changed a little; `changed` says what else of its description is other, `size` that of its
 * pictures.
 */
export async function studentOf(
  pipeline: string,
  changed: (teacher: DenoiserDescription) => Partial<DenoiserDescription> = () => ({}),
  size?: ImageSize,
): Promise<{ run: string; student: Denoiser }> {
  const teacher = await readDenoiser(at(pipeline), { size });
  const weights = moved(teacher.weights, 0.01);
  return written(pipeline, { description: { ...teacher.description, ...changed(teacher.description) }, weights }, size);
}

/** A run folder whose student is the teacher with a LoRA of rank 2 and alpha 3 on some layers of each kind. */
export async function loraStudentOf(pipeline: string): Promise<{ run: string; student: Denoiser }> {
  const { description, weights } = await readDenoiser(at(pipeline));
  const targets = ["attn1\\.to_q", "attn2\\.to_out", "resnets\\.0\\.conv1", "proj_in"];
  const lora = { rank: 2, alpha: 3, targets };
  const { trained } = initAdapter({ weights, adapter: { lora }, groups: {}, seed: 3 });
  const factors = { ...trained, ...moved(Object.fromEntries(Object.entries(trained).filter(([name]) => name.endsWith(UP))), 0.1) };
  const made = await written(pipeline, { description, weights: addLoras(weights, [{ trained: factors, scale: 3 / 2 }]) });
  const { hash: merged, spec } = made.student.description;
  await writeLora(made.run, { rank: 2, alpha: 3, base: description.hash, trained: factors, merged, spec });
  return made;
}

async function written(
  pipeline: string,
  { description, weights }: Denoiser,
  size?: ImageSize,
): Promise<{ run: string; student: Denoiser }> {
  const run = freshFolder();
  const student = { description: { ...description, role: "student" as const, hash: hashWeights(weights) }, weights };
  await writeModel(run, student);
  await writeCodec(run, await readCodec(at(pipeline), { size }));
  return { run, student };
}

/** Weights with a normal draw of this deviation added to each. */
function moved(weights: Weights, deviation: number): Weights {
  return Object.fromEntries(
    Object.entries(weights).map(([name, { shape, data }], i) => {
      const drawn = normals({ seed: 9, stream: "change", offset: 100_000 * i, length: data.length });
      return [name, { shape, data: data.map((value, j) => value + deviation * drawn[j]!) }];
    }),
  );
}

/** Exports a run into a folder of its own. */
export async function exported(run: string, format: string, more: { teacher?: string; half?: boolean } = {}): Promise<string> {
  const out = freshFolder();
  await exportPath({ path: run, format, out, ...more, context: recordingContext().context });
  return out;
}
