/** STORE/negative.safetensors: the embedding of the negative prompt, beside triples that keep those of their captions. */
import { loadWeights } from "../../models/weights/load.ts";
import { embeddingSize, type TextShape } from "../../schemas/embedding.ts";
import { saveWeights } from "./weights-file.ts";
import { localCopy } from "../../store/places/local-copy.ts";
import { within } from "../../store/places/place.ts";

const FILE = "negative.safetensors";

/** Writes it into the folder of a store. */
export async function writeNegative(folder: string, data: Float32Array): Promise<void> {
  await saveWeights({ path: within(folder, FILE), weights: { negative: { shape: [data.length], data } } });
}

/** Reads it. Throws a Failure where it is missing, damaged, or of another size. */
export async function readNegative(folder: string, shape: TextShape): Promise<Float32Array> {
  const size = embeddingSize(shape);
  const { weights } = await loadWeights(await localCopy(within(folder, FILE)), {
    differences: ({ negative }) =>
      negative?.shape.length === 1 && negative.shape[0] === size ? [] : [`"negative" has not ${size} numbers`],
  });
  return weights.negative?.data as Float32Array;
}
