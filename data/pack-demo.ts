/**
 * Packs trained runs as the demo's weights, in half precision: npx tsx data/pack-demo.ts TEACHER PERCEPTUAL [OUT=data/demo]
 * The hash that a description records becomes that of the rounded weights, so that loading can check them, and its seal
 * covers that. What is packed once more stays as it is.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { hashWeights, type Weights } from "../engine/weights.ts";
import { encodeSafetensors, readSafetensors } from "../models/weights/safetensors.ts";
import { fromHalf, toHalf } from "../schemas/numbers/half.ts";
import { sealedText } from "../schemas/seal.ts";

const [teacher, perceptual, out = "data/demo"] = process.argv.slice(2);
if (!teacher || !perceptual) {
  console.error("Usage: npx tsx data/pack-demo.ts TEACHER PERCEPTUAL [OUT=data/demo]");
  process.exit(2);
}

/** Writes a network's description and its weights, both named as in a run's folder, with every weight rounded. */
async function pack(from: string, to: string, { json, weights }: { json: string; weights: string }): Promise<void> {
  const { tensors } = await readSafetensors(join(from, weights));
  const halves: Weights = {};
  for (const [name, { shape, data }] of Object.entries(tensors)) halves[name] = { shape, data: fromHalf(toHalf(data)) };
  const { format, version: _, seal: __, ...content } = JSON.parse(await readFile(join(from, json), "utf8"));
  await mkdir(dirname(join(to, json)), { recursive: true });
  await writeFile(join(to, weights), encodeSafetensors({ tensors: halves, dtype: "F16" }));
  await writeFile(join(to, json), sealedText(format, { ...content, hash: hashWeights(halves) }));
}

const network = { json: "model.json", weights: "weights.safetensors" };
await pack(teacher, join(out, "teacher"), network);
await pack(teacher, join(out, "teacher"), { json: "codec.json", weights: "codec.safetensors" });
await pack(perceptual, join(out, "perceptual"), network);
