/**
 * Packs trained runs as the demo's weights, in half precision: npx tsx data/pack-demo.ts TEACHER PERCEPTUAL [OUT=data/demo]
 * The hash that a description records becomes that of the rounded weights, so that loading can check them, and its seal
 * covers that. What is packed once more stays as it is.
 */
import { join } from "node:path";
import { hashWeights, type Weights } from "../engine/weights.ts";
import { fromHalf, toHalf } from "../schemas/numbers/half.ts";
import { type Network, readCodec, readDenoiser, readPerceptual, writeCodec, writeModel } from "../stages/runs/model.ts";

const [teacher, perceptual, out = "data/demo"] = process.argv.slice(2);
if (!teacher || !perceptual) {
  console.error("Usage: npx tsx data/pack-demo.ts TEACHER PERCEPTUAL [OUT=data/demo]");
  process.exit(2);
}

/** The same network with every weight rounded to half precision. */
function rounded<D extends { hash: string }>({ description, weights }: Network<D>): Network<D> {
  const halves: Weights = {};
  for (const [name, { shape, data }] of Object.entries(weights)) halves[name] = { shape, data: fromHalf(toHalf(data)) };
  return { description: { ...description, hash: hashWeights(halves) }, weights: halves };
}

await writeModel(join(out, "teacher"), rounded(await readDenoiser(teacher)), "F16");
await writeCodec(join(out, "teacher"), rounded(await readCodec(teacher)), "F16");
await writeModel(join(out, "perceptual"), rounded(await readPerceptual(perceptual)), "F16");
