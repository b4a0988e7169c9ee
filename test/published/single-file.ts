/**
 * Writes a tiny pipeline's folder as one file in the layout of the code that trained Stable Diffusion. As a command, for
 * original_names.py: `node --import tsx test/published/single-file.ts KIND FOLDER FILE`.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Weights } from "../../engine/weights.ts";
import { type OriginalKind, type OriginalPart, toOriginal } from "../../models/published/original-names.ts";
import { encodeSafetensors, readSafetensors } from "../../models/weights/safetensors.ts";
import { weightsIn } from "../../models/published/folder.ts";

/** The parts that a file of this kind holds. */
const partsOf = (kind: OriginalKind): OriginalPart[] => [
  ...(["unet", "vae", "text_encoder"] as const),
  ...(kind === "sdxl" ? (["text_encoder_2"] as const) : []),
];

/** The tensors of a folder's parts as their files have them. */
export async function tensorsOf(kind: OriginalKind, folder: string): Promise<Partial<Record<OriginalPart, Weights>>> {
  const parts: Partial<Record<OriginalPart, Weights>> = {};
  for (const part of partsOf(kind)) {
    const { tensors } = await readSafetensors(await weightsIn(join(folder, part)));
    parts[part] = Object.fromEntries(Object.entries(tensors).map(([name, { shape, data }]) => [name, { shape, data }]));
  }
  return parts;
}

/** Writes the file; answers its tensors. */
export async function writeSingleFile(kind: OriginalKind, folder: string, path: string): Promise<Weights> {
  const tensors = toOriginal(kind, await tensorsOf(kind, folder));
  writeFileSync(path, encodeSafetensors({ tensors }));
  return tensors;
}

const [, script, kind, folder, path] = process.argv;
if (script === fileURLToPath(import.meta.url) && kind && folder && path) await writeSingleFile(kind as OriginalKind, folder, path);
