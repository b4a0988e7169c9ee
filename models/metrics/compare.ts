import type { FeatureNetwork } from "../features/network.ts";
import { bandDifference } from "./bands.ts";
import { frechetDistance } from "./frechet.ts";
import { kernelDistance } from "./kernel.ts";
import { type Coverage, coverage, type Nearest, nearestOthers, radiiOf } from "./neighbours.ts";
import { centreOf, prepareRows, type Products, type Rows } from "./rows.ts";
import { type Gaussian, runningStatistics } from "./statistics.ts";
import { Failure } from "../../schemas/failure.ts";
import type { ImageSet } from "./describe.ts";

/** How far a set of generated images is from a reference, and the space in which that was measured. */
export interface Comparison {
  frechetDistance: number;
  kernelDistance: number; // KID: unbiased by the number of samples, so it may be slightly negative
  precision: number;
  recall: number;
  /** Share of generated images nearer to a real one than the nearest 1 % of the real ones are to each other. */
  duplicates: number;
  bands: number[]; // energy against the reference in decibels, from coarse to fine; empty where it was not measured
  count: number; // generated images
  references: number; // images they are compared with
  reference: string; // sha256 of the reference's pixels
  features: string; // feature network, with the first digits of its hash
  resizeFilter: string;
}

/**
 * The fewest images worth comparing in `dimension` features: the first power of two above it, so 128 for 64 features
 * and 2,048 for 1,280. The covariance of n samples has rank n - 1 at most; with fewer than `dimension` + 1 it is
 * singular, and the Fréchet distance then tells the sample count rather than the difference.
 */
export function fewestImages(dimension: number): number {
  return 2 ** Math.floor(Math.log2(dimension) + 1);
}

export type Named = Pick<FeatureNetwork, "name" | "dimension">;

/** Throws a Failure where `count` images, or those `of` something named, are fewer than `least`. */
export function requireEnough(options: { count: number; network: Named; least?: number; of?: string }): void {
  const { count, network, least: fewest = fewestImages(network.dimension), of } = options;
  if (count >= fewest) return;
  throw new Failure(
    `Cannot measure a Fréchet distance from ${count} images${of ? ` of ${of}` : ""}: ${network.name} has ${network.dimension} features, ` +
      `whose covariance needs at least ${fewest} samples (n samples give rank n - 1 at most); ` +
      `${of ? "give more images" : "raise evaluate.count"} or set evaluate.features to a smaller network`,
  );
}

/** Compares described sets; what a set alone decides (its covariance, its neighbours) is worked out once. */
export interface Comparer {
  /** Throws a Failure where a set is smaller than `least`, `fewestImages` unless given, or the sizes differ. */
  compare: (sets: { generated: ImageSet; reference: ImageSet; least?: number }) => Promise<Comparison>;
  /** The Fréchet distance alone, which takes a fraction of the time. */
  distance: (sets: { generated: ImageSet; reference: ImageSet }) => number;
  /** The three nearest reference images of each generated one, by feature distance. */
  nearest: (sets: { generated: ImageSet; reference: ImageSet }) => Promise<Nearest>;
}

const K = 3; // of precision and recall
const FIRST_PERCENT = 0.01;

/** A comparer of sets that this network has described; `products` multiplies matrices of its features. */
export function createComparer({ network, products }: { network: FeatureNetwork; products: Products }): Comparer {
  const { dimension } = network;
  const fits = remembered((set) => fit(set.features, dimension));
  const centres = remembered((set) => centreOf(set.features, dimension));
  const others = remembered(async (set) => {
    const rows = prepareRows({ features: set.features, dimension, centre: centres(set) });
    return nearestOthers({ rows, k: K, products });
  });

  function check({ generated, reference, least }: { generated: ImageSet; reference: ImageSet; least?: number }): void {
    if (generated.width !== reference.width || generated.height !== reference.height) {
      throw new Failure(
        `Cannot compare generated images of ${generated.width}x${generated.height} with a reference of ` +
          `${reference.width}x${reference.height} pixels: ingest the reference at the model's size`,
      );
    }
    requireEnough({ count: generated.count, network, least });
    requireEnough({ count: reference.count, network, least, of: "the reference" });
  }

  function rowsOf(generated: ImageSet, reference: ImageSet): { reals: Rows; fakes: Rows } {
    const centre = centres(reference);
    const prepared = ({ features }: ImageSet) => prepareRows({ features, dimension, centre });
    return { reals: prepared(reference), fakes: prepared(generated) };
  }

  async function cover(generated: ImageSet, reference: ImageSet): Promise<Coverage> {
    const [realRadii, fakeRadii] = [radiiOf(await others(reference)), radiiOf(await others(generated))];
    return coverage({ ...rowsOf(generated, reference), realRadii, fakeRadii, k: K, products });
  }

  const distance = (generated: ImageSet, reference: ImageSet) => frechetDistance(fits(reference), fits(generated));

  return {
    compare: async (sets) => {
      check(sets);
      const { generated, reference } = sets;
      const { precision, recall, nearest } = await cover(generated, reference);
      return {
        frechetDistance: distance(generated, reference),
        kernelDistance: await kernelDistance({ first: reference.features, second: generated.features, dimension, products }),
        precision,
        recall,
        duplicates: duplicateShare(radiiOf(nearest, 1), radiiOf(await others(reference), 1)),
        bands: generated.bands.length > 0 && reference.bands.length > 0 ? [...bandDifference(generated.bands, reference.bands)] : [],
        count: generated.count,
        references: reference.count,
        reference: reference.hash,
        features: `${network.name} ${network.hash.slice(0, 8)}`,
        resizeFilter: network.resizeFilter,
      };
    },
    distance: (sets) => {
      check(sets);
      return distance(sets.generated, sets.reference);
    },
    nearest: async ({ generated, reference }) => {
      const [realRadii, fakeRadii] = [reference, generated].map(({ count }) => new Float64Array(count)) as [Float64Array, Float64Array];
      return (await coverage({ ...rowsOf(generated, reference), realRadii, fakeRadii, k: K, products })).nearest;
    },
  };
}

/** Share of squared distances below the first percentile of `among`; independent images of the same kind give 0.01. */
export function duplicateShare(squared: Float64Array, among: Float64Array): number {
  const threshold = among.slice().sort()[Math.floor(FIRST_PERCENT * among.length)]!;
  return squared.reduce((sum, value) => sum + (value < threshold ? 1 : 0), 0) / squared.length;
}

function fit(features: Float32Array, dimension: number): Gaussian {
  const statistics = runningStatistics(dimension);
  const rows = 512 * dimension;
  for (let at = 0; at < features.length; at += rows) statistics.add(features.subarray(at, at + rows));
  return statistics.result();
}

/** A function of a set, worked out once for each and kept as long as the set is. */
function remembered<T>(make: (set: ImageSet) => T): (set: ImageSet) => T {
  const known = new WeakMap<ImageSet, { value: T }>();
  return (set) => {
    const found = known.get(set) ?? { value: make(set) };
    known.set(set, found);
    return found.value;
  };
}
