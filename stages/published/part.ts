/** A part of a published pipeline: the network that its config tells of, and its weights. */
import type { Weights } from "../../engine/weights.ts";
import type { BoundNetwork } from "../../models/published/network.ts";
import { openPart, type PartFiles } from "../../models/published/part-files.ts";
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
export async function readPart(path: string): Promise<PublishedPart> {
  return readOpened(await openPart(path));
}

/** Reads a part that is open; see {@link readPart}. */
export async function readOpened({ file, json, read }: PartFiles): Promise<PublishedPart> {
  const network = publishedNetwork({ json, file });
  return { network, weights: await read(network.names) };
}
