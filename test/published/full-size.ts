/** Folders of full-size models that hold configs and headers alone: their files have holes where weights would be, and take no disk. */
import { cp, mkdir, open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { elements } from "../../engine/weights.ts";
import { encodeHeader } from "../../models/weights/header.ts";
import { pipelines } from "./golden.ts";

/** A name with # for numbers, a shape, and the numbers of each such tensor. */
type Line = [name: string, shape: number[], numbers: string];
type Models = Record<string, { config: Record<string, unknown>; parameters: Line[] }>;

const models = JSON.parse(await readFile(new URL("full-size.json", import.meta.url), "utf8")) as Models;

/** Writes a part of a pipeline: its config, and a file of float16 weights that are all zero. */
async function writePart(folder: string, name: string): Promise<void> {
  const { config, parameters } = models[name]!;
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  const tensors = parameters.flatMap(([pattern, shape, numbers]) =>
    numbers.split(" ").map((each) => {
      const given = each.split(".");
      const named = pattern.replaceAll("#", () => given.shift()!);
      return [named, { shape, dtype: "F16" as const, byteLength: 2 * elements(shape) }] as const;
    }),
  );
  const head = encodeHeader(tensors, {});
  const file = await open(join(folder, "architectures" in config ? "model.safetensors" : "diffusion_pytorch_model.safetensors"), "w");
  await file.write(head);
  await file.truncate(head.length + tensors.reduce((sum, [, { byteLength }]) => sum + byteLength, 0));
  await file.close();
}

/**
 * Writes a pipeline of such parts, with DDIM's schedule. `tokenizers` are names of folders of ../shared/pipelines by those of the parts: a
 * pipeline with text encoders is planned with them alone.
 */
export async function writePipeline(
  folder: string,
  { kind, parts, tokenizers = {} }: { kind: string; parts: Record<string, string>; tokenizers?: Record<string, string> },
): Promise<void> {
  const index: Record<string, unknown> = { _class_name: kind, scheduler: ["diffusers", "DDIMScheduler"] };
  for (const [part, name] of Object.entries(parts)) {
    await writePart(join(folder, part), name);
    const { _class_name: diffusers, architectures } = models[name]!.config;
    index[part] = diffusers ? ["diffusers", diffusers] : ["transformers", (architectures as string[])[0]];
  }
  for (const [part, name] of Object.entries(tokenizers)) await cp(join(pipelines, name), join(folder, part), { recursive: true });
  await writeFile(join(folder, "model_index.json"), JSON.stringify(index));
  await mkdir(join(folder, "scheduler"), { recursive: true });
  const schedule = { _class_name: "DDIMScheduler", beta_start: 0.0001, beta_end: 0.02, beta_schedule: "linear", clip_sample: false };
  await writeFile(join(folder, "scheduler/scheduler_config.json"), JSON.stringify({ ...schedule, num_train_timesteps: 1000 }));
}
