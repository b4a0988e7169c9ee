import type { Engine } from "../../engine/engine.ts";
import type { FeatureNetwork } from "../../models/features/network.ts";
import { bandDifference } from "../../models/metrics/bands.ts";
import { frechetDistance } from "../../models/metrics/frechet.ts";
import { precisionRecall } from "../../models/metrics/neighbours.ts";
import { type Gaussian, runningStatistics } from "../../models/metrics/statistics.ts";
import { Failure } from "../../schemas/failure.ts";
import type { Picture } from "../picture/grid.ts";
import { createDescriber, type ImageSet } from "./describe.ts";

/** How far a set of generated images is from a reference, and the space in which that was measured. */
export interface Comparison {
  frechetDistance: number;
  precision: number;
  recall: number;
  bands: number[]; // energy against the reference in decibels, from coarse to fine
  count: number; // images on either side
  reference: string; // sha256 of the reference's pixels
  features: string; // feature network, with the first digits of its hash
  resizeFilter: string;
}

/** The fewest images worth comparing in `dimension` features: with less the covariance is mostly sampling noise. */
export function fewestImages(dimension: number): number {
  return Math.ceil(1.25 * dimension);
}

/**
 * Throws a Failure where `count` images are too few for the network's features: the covariance of n samples has rank
 * n - 1 at most, and the Fréchet distance then tells the sample count rather than the difference.
 */
export function requireEnough({
  count,
  network,
}: {
  count: number;
  network: Pick<FeatureNetwork, "name" | "dimension">;
}): void {
  const fewest = fewestImages(network.dimension);
  if (count >= fewest) return;
  throw new Failure(
    `Cannot measure a Fréchet distance from ${count} images: ${network.name} has ${network.dimension} features, whose ` +
      `covariance needs at least ${fewest} samples; raise evaluate.count or set evaluate.features to a smaller network`,
  );
}

/** Compares two described sets. Throws a Failure when their counts or sizes differ, or they are too small. */
export function compareSets({
  generated,
  reference,
  network,
}: {
  generated: ImageSet;
  reference: ImageSet;
  network: FeatureNetwork;
}): Comparison {
  const { dimension } = network;
  if (generated.count !== reference.count) {
    throw new Failure(
      `Cannot compare ${generated.count} generated with ${reference.count} reference images: the Fréchet distance ` +
        "depends on the sample count; take as many of each with evaluate.count",
    );
  }
  if (generated.width !== reference.width || generated.height !== reference.height) {
    throw new Failure(
      `Cannot compare generated images of ${generated.width}x${generated.height} with a reference of ` +
        `${reference.width}x${reference.height} pixels: ingest the reference at the model's size`,
    );
  }
  requireEnough({ count: reference.count, network });
  return {
    frechetDistance: frechetDistance(fit(generated.features, dimension), fit(reference.features, dimension)),
    ...precisionRecall({ real: reference.features, fake: generated.features, dimension }),
    bands: [...bandDifference(generated.bands, reference.bands)],
    count: reference.count,
    reference: reference.hash,
    features: `${network.name} ${network.hash.slice(0, 8)}`,
    resizeFilter: network.resizeFilter,
  };
}

/** Compares two streams of images of one size in a network's feature space; see `compareSets` for what it refuses. */
export async function compareImages(options: {
  generated: AsyncIterable<Picture>;
  reference: AsyncIterable<Picture>;
  network: FeatureNetwork;
  engine: Engine;
  batch?: number;
}): Promise<Comparison> {
  const { network, engine, batch = 64 } = options;
  const open = await createDescriber({ network, engine, batch });
  const collect = async (pictures: AsyncIterable<Picture>, name: string) => {
    const set = open(name);
    for await (const picture of pictures) await set.add(picture);
    return set.finish();
  };
  const generated = await collect(options.generated, "the generated images");
  const reference = await collect(options.reference, "the reference");
  return compareSets({ generated, reference, network });
}

function fit(features: Float32Array, dimension: number): Gaussian {
  const statistics = runningStatistics(dimension);
  const rows = 64 * dimension;
  for (let at = 0; at < features.length; at += rows) statistics.add(features.subarray(at, at + rows));
  return statistics.result();
}
