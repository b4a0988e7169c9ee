/**
 * Packs trained runs as the demo's weights, in half precision: npx tsx data/pack-demo.ts TEACHER PERCEPTUAL [OUT=data/demo]
 * The descriptions get the hashes of the rounded weights, so that loading can check them.
 */
import { join } from "node:path";
import { fromHalf, toHalf } from "../schemas/numbers/half.ts";
import { hashWeights, type Weights } from "../engine/weights.ts";
import { type Network, readCodec, readDenoiser, readPerceptual, writeCodec, writeModel } from "../stages/runs/model.ts";

const [teacher, perceptual, out = "data/demo"] = process.argv.slice(2);
if (!teacher || !perceptual) {
  console.error("Usage: npx tsx data/pack-demo.ts TEACHER PERCEPTUAL [OUT=data/demo]");
  process.exit(2);
}

/** The network with every weight rounded to half precision. */
function rounded<D extends { hash: string }>({ description, weights }: Network<D>): Network<D> {
  const halves: Weights = {};
  for (const [name, { shape, data }] of Object.entries(weights)) halves[name] = { shape, data: fromHalf(toHalf(data)) };
  return { description: { ...description, hash: hashWeights(halves) }, weights: halves };
}

await writeModel(join(out, "teacher"), rounded(await readDenoiser(teacher)), "F16");
await writeCodec(join(out, "teacher"), rounded(await readCodec(teacher)), "F16");
await writeModel(join(out, "perceptual"), rounded(await readPerceptual(perceptual)), "F16");
