/** A part of a published pipeline's folder: the network that its config.json tells of, and the weights beside it. */
import type { Weights } from "../../engine/weights.ts";
import { readPartConfig, readPublished, weightsIn } from "../../models/published/folder.ts";
import type { BoundNetwork } from "../../models/published/network.ts";
import { publishedNetwork } from "../../models/published/registry.ts";

export interface PublishedPart {
  network: BoundNetwork;
  /** Under our names and in our layouts. */
  weights: Weights;
}

/**
 * Reads a part with float32 weights, of a file or of several by their index; float16 variants serve where there is nothing else. Throws a
 * Failure where the config or a value of it is not understood, where weights are missing, or pickled.
 */
export async function readPart(folder: string): Promise<PublishedPart> {
  const { file, json } = await readPartConfig(folder);
  const network = publishedNetwork({ json, file });
  return { network, weights: await readPublished(await weightsIn(folder), network.names) };
}
