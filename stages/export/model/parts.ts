/** Parts of a published pipeline written as diffusers lays them out: networks, and parts copied from a folder. */
import { createReadStream } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Weights } from "../../../engine/weights.ts";
import { PICKLES } from "../../../models/published/folder.ts";
import { toTorch } from "../../../models/published/torch.ts";
import { safetensorsPieces, sourcesOf, type TensorSource } from "../../../models/weights/pieces.ts";
import { writeAtomic } from "../../../store/places/atomic.ts";

/** How weights are stored: as they are, or rounded to halves. */
export type StoredAs = "F32" | "F16";

/** Weights under published names and in torch's layouts; `others` are tensors that no network here reads. */
export async function writeTorchWeights(options: {
  path: string;
  weights: Weights;
  dtype: StoredAs;
  others?: Record<string, TensorSource>;
}): Promise<void> {
  const { path, weights, dtype, others = {} } = options;
  const tensors = { ...sourcesOf(toTorch(weights), dtype), ...others };
  await writeAtomic(path, safetensorsPieces({ tensors, metadata: { format: "pt" } }));
}

/** Writes a network as diffusers and transformers do: config.json, and the weights in a file whose name begins with `stem`. */
export async function writeNetwork(options: {
  folder: string;
  json: object;
  weights: Weights;
  dtype: StoredAs;
  stem: "diffusion_pytorch_model" | "model";
}): Promise<void> {
  const { folder, json, stem, ...rest } = options;
  await writeTorchWeights({ path: join(folder, `${stem}.safetensors`), ...rest });
  await writeAtomic(join(folder, "config.json"), jsonText(json));
}

/** Weights that other libraries read, not to be copied beside safetensors. */
const OTHERS = /\.(msgpack|h5|onnx|onnx_data|gguf)$/;

/**
 * Copies the files of a part. Of float16 variants the names lose their ".fp16" where the plain files are not there, since the student's
 * own part has none.
 */
export async function copyPart(from: string, to: string): Promise<void> {
  const names = (await readdir(from)).filter((name) => !OTHERS.test(name) && !name.startsWith("."));
  const hasSafe = names.some((name) => name.endsWith(".safetensors"));
  const hasPlain = names.some((name) => name.endsWith(".safetensors") && !VARIANT.test(name));
  for (const name of names) {
    const file = join(from, name);
    if (!(await stat(file)).isFile()) continue;
    if (hasSafe && (PICKLES.test(name) || /\.bin\.index\.json$/.test(name))) continue;
    if (hasPlain && VARIANT.test(name)) continue;
    const isIndex = VARIANT.test(name) && name.endsWith(".json");
    const content = isIndex ? (await readFile(file, "utf8")).replaceAll(/\.fp16(?=[.-])/g, "") : createReadStream(file);
    await writeAtomic(join(to, name.replace(VARIANT, "")), content);
  }
}

const VARIANT = /\.fp16(?=[.-])/;

/** The text of a JSON file, as diffusers indents it. */
export const jsonText = (json: object): string => `${JSON.stringify(json, null, 2)}\n`;
