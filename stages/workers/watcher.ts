/**
 * Watches a training in a worker: how far a small sample of generated images is from real ones. Cheap rather than
 * exact: a trend to steer by, whose figures are not those of `evaluate`.
 */
import { createEngine } from "../../engine/engine.ts";
import { type ImageSize, sidesOf } from "../../schemas/images.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { loadFeatureNetwork } from "../../models/features/load.ts";
import { planResize } from "../../models/features/resize.ts";
import { frechetDistance } from "../../models/metrics/frechet.ts";
import { coverage, nearestOthers, radiiOf } from "../../models/metrics/neighbours.ts";
import { centreOf, plainProducts, prepareRows, type Rows } from "../../models/metrics/rows.ts";
import { type Gaussian, runningStatistics } from "../../models/metrics/statistics.ts";
import type { EngineSettings } from "../../schemas/settings.ts";
import { compileFeatures } from "../../models/metrics/describe.ts";
import { deviceOf } from "./device.ts";

export interface WatcherOptions {
  /** As `evaluate.features`: "auto", "builtin" or the path of a safetensors file. */
  features: string;
  imageSize: ImageSize;
  engine: EngineSettings;
  /** Whether precision and recall are measured too; their time grows with the product of both sets. */
  coverage?: boolean;
}

export interface Watched {
  /** Fréchet distance of the sample from the reference, in the features' units squared. */
  distance: number;
  /** Spread of the sample over that of the reference: root of the traces' ratio. 1 is as varied, 0 all the same. */
  diversity: number;
  /** Share of samples among the real ones, and of real ones among the samples (Kynkäänniemi et al. 2019, k = 3). */
  precision?: number;
  recall?: number;
}

/** The worker's methods; see engine/compute.ts. */
export async function create({ features, imageSize, engine: where, coverage: isCovered = false }: WatcherOptions) {
  const engine = await createEngine(deviceOf(where));
  const [height, width] = sidesOf(imageSize);
  const network = await loadFeatureNetwork({ path: features, imageSize });
  const { size, dimension } = network;
  const program = await compileFeatures({ network, engine, batch: BATCH });
  const resize = planResize({ width, height, size });
  const project = projection(dimension);
  let reference: Gaussian | undefined;
  let sums = runningStatistics(project.dimension);
  let rows: Float32Array[] = []; // of the open set, where they are wanted
  let covered: Covered | undefined;

  /** Closes the set that was being added to. */
  const closed = (): Gaussian => {
    const result = sums.result();
    sums = runningStatistics(project.dimension);
    return result;
  };

  /** The rows of the set that was closed, around the reference's centre. */
  const closedRows = (centre?: Float32Array): Rows => {
    const whole = new Float32Array(rows.reduce((sum, part) => sum + part.length, 0));
    let end = 0;
    for (const part of rows) {
      whole.set(part, end);
      end += part.length;
    }
    rows = [];
    const { dimension } = project;
    return prepareRows({ features: whole, dimension, centre: centre ?? centreOf(whole, dimension) });
  };

  return {
    /** What is measured in. */
    network: async () => ({ name: network.name, hash: network.hash, dimension, directions: project.dimension }),
    /** Adds images [n, height, width, 3] to the open set; 64 at a time are what a run of the network takes. */
    add: async (pixels: Uint8Array): Promise<void> => {
      const length = height * width * 3;
      const all = pixels.length / length;
      for (let from = 0; from < all; from += BATCH) {
        const count = Math.min(BATCH, all - from);
        const images = new Float32Array(BATCH * size * size * 3);
        for (let row = 0; row < count; row++) {
          const at = (from + row) * length;
          images.set(resize(pixels.subarray(at, at + length)), row * size * size * 3);
        }
        const outputs = await program.run({ images });
        const seen = project.apply((outputs.features as Float32Array).subarray(0, count * dimension), count);
        sums.add(seen);
        if (isCovered) rows.push(Float32Array.from(seen));
      }
    },
    /** Takes the open set as the reference. */
    refer: async (): Promise<void> => {
      reference = closed();
      covered = isCovered ? await coveredBy(closedRows(), project.dimension) : undefined;
    },
    /** Measures the open set against the reference, and opens the next. */
    measure: async (): Promise<Watched> => {
      const sample = closed();
      if (!reference) throw new Error("a sample was measured before there was a reference");
      return {
        distance: frechetDistance(sample, reference),
        diversity: Math.sqrt(trace(sample) / Math.max(trace(reference), Number.MIN_VALUE)),
        ...(covered && (await coverageOf(covered, closedRows(covered.centre)))),
      };
    },
  };
}

export type Watcher = Awaited<ReturnType<typeof create>>;

const BATCH = 64;

/** Neighbours of the radii. */
const K = 3;

/** A reference with what precision and recall take of it. */
interface Covered {
  centre: Float32Array;
  rows: Rows;
  radii: Float64Array;
}

/** Undefined where there are no three neighbours. */
async function coveredBy(rows: Rows, dimension: number): Promise<Covered | undefined> {
  if (rows.count <= K) return undefined;
  return {
    rows,
    centre: centreOf(rows.features, dimension),
    radii: radiiOf(await nearestOthers({ rows, k: K, products: plainProducts(dimension) }), K),
  };
}

async function coverageOf(
  { rows: reals, radii: realRadii }: Covered,
  fakes: Rows,
): Promise<{ precision: number; recall: number } | undefined> {
  if (fakes.count <= K) return undefined;
  const products = plainProducts(reals.dimension);
  const fakeRadii = radiiOf(await nearestOthers({ rows: fakes, k: K, products }), K);
  const { precision, recall } = await coverage({ reals, fakes, realRadii, fakeRadii, k: K, products });
  return { precision, recall };
}

/** Directions that a thousand samples have a sound covariance in. */
const DIRECTIONS = 128;

/**
 * Features of more dimensions than {@link DIRECTIONS} are seen along as many random ones, always the same: normal with
 * variance 1 / DIRECTIONS, so that squared lengths keep their expectation (Johnson and Lindenstrauss 1984).
 */
export function projection(dimension: number): { dimension: number; apply: (features: Float32Array, rows: number) => ArrayLike<number> } {
  if (dimension <= DIRECTIONS) return { dimension, apply: (features) => features };
  const directions = normals({ seed: 0, stream: "watcher/directions", length: dimension * DIRECTIONS });
  const scale = 1 / Math.sqrt(DIRECTIONS);
  return {
    dimension: DIRECTIONS,
    apply: (features, rows) => {
      const seen = new Float64Array(rows * DIRECTIONS);
      for (let row = 0; row < rows; row++) {
        for (let i = 0; i < dimension; i++) {
          const value = features[row * dimension + i]! * scale;
          for (let k = 0; k < DIRECTIONS; k++) seen[row * DIRECTIONS + k]! += value * directions[i * DIRECTIONS + k]!;
        }
      }
      return seen;
    },
  };
}

function trace({ mean, covariance }: Gaussian): number {
  return mean.reduce((sum, _, i) => sum + covariance[i * mean.length + i]!, 0);
}
