/** Measures sets of images in a worker: features, band energies, and the distances between sets. */
import { createEngine } from "../../engine/engine.ts";
import { permutation } from "../../schemas/numbers/philox.ts";
import { loadFeatureNetwork } from "../../models/features/load.ts";
import { conditionalDiversity } from "../../models/metrics/diversity.ts";
import { type ImageSize, sidesOf } from "../../schemas/images.ts";
import type { EngineSettings } from "../../schemas/settings.ts";
import { type Comparison, createComparer } from "../../models/metrics/compare.ts";
import { createDescriber, type ImageSet } from "../../models/metrics/describe.ts";
import { createPairs, type PairMeasures, type Pairs } from "../../models/metrics/pairs.ts";
import { deviceOf } from "./device.ts";
import { createProducts } from "../../models/metrics/products.ts";

export interface MeasurerOptions {
  /** As `evaluate.features`: "auto", "builtin" or the path of a safetensors file. */
  features: string;
  imageSize: ImageSize;
  batch: number;
  engine: EngineSettings;
}

/** Two sets by name; the generated one goes first in every figure. */
interface Pair {
  generated: string;
  reference: string;
}

/** The worker's methods; see engine/compute.ts. Sets of images go by name. */
export async function create({ features, imageSize, batch, engine: where }: MeasurerOptions) {
  const engine = await createEngine(deviceOf(where));
  const [height, width] = sidesOf(imageSize);
  const network = await loadFeatureNetwork({ path: features, imageSize });
  const { dimension } = network;
  const describe = await createDescriber({ network, engine, batch });
  const comparer = createComparer({ network, products: createProducts({ dimension, threads: where.threads }) });
  const open = (name: string) => ({
    collector: describe(name),
    conditions: [] as string[],
    set: undefined as ImageSet | undefined,
  });
  const sets = new Map<string, ReturnType<typeof open>>();
  const called = (name: string) => {
    const found = sets.get(name) ?? open(name);
    sets.set(name, found);
    return found;
  };
  const described = async (name: string): Promise<ImageSet> => {
    const entry = called(name);
    entry.set ??= await entry.collector.finish();
    return entry.set;
  };
  const both = async ({ generated, reference }: Pair) => ({
    generated: await described(generated),
    reference: await described(reference),
  });

  let pairs: Promise<() => Pairs> | undefined; // compiled when first needed
  const paired = new Map<string, Pairs>();

  return {
    /** What the figures will be measured with. */
    network: async () => {
      const { name, hash, size, resizeFilter } = network;
      return { name, dimension, hash, size, resizeFilter };
    },
    /** Adds images [height, width, 3] that lie one after the other to a set; `conditions` are theirs. */
    addAll: async ({ set, pixels, conditions }: { set: string; pixels: Uint8Array; conditions: string[] }) => {
      const length = height * width * 3;
      const entry = called(set);
      for (const [i, condition] of conditions.entries()) {
        await entry.collector.add({ pixels: pixels.subarray(i * length, (i + 1) * length), width, height });
        entry.conditions.push(condition);
      }
    },
    /** Compares two sets, which are then complete. */
    compare: async (sets: Pair): Promise<Comparison> => comparer.compare(await both(sets)),
    /** The Fréchet distance of two sets alone. */
    distance: async (sets: Pair): Promise<number> => comparer.distance(await both(sets)),
    /**
     * Compares one half of a set with the other, drawn by the seed: what independent images of that very kind get. Halves
     * may be smaller than what models are measured with, as long as their covariances are not singular.
     */
    compareHalves: async ({ set, seed }: { set: string; seed: number }): Promise<Comparison> => {
      const whole = await described(set);
      const order = permutation({ seed, stream: "evaluate/halves", length: whole.count });
      const half = Math.floor(whole.count / 2);
      return comparer.compare({
        generated: chosen(whole, order.subarray(0, half), dimension),
        reference: chosen(whole, order.subarray(half), dimension),
        least: dimension + 1,
      });
    },
    /** The nearest images of the reference for the first `count` of a set, by index, three of each, nearest first. */
    nearest: async ({ count, ...sets }: Pair & { count: number }) => {
      const { generated, reference } = await both(sets);
      const first = chosen(
        generated,
        Uint32Array.from({ length: Math.min(count, generated.count) }, (_, i) => i),
        dimension,
      );
      const { index, squared } = await comparer.nearest({ generated: first, reference });
      return { index, distance: squared.map(Math.sqrt) };
    },
    /** Mean feature distance of two samples of the same condition, where there are any. */
    diversity: async (set: string): Promise<number | undefined> => {
      const { features } = await described(set);
      return conditionalDiversity({ features, dimension, conditions: called(set).conditions });
    },
    /** Adds pictures, and those that they stand for, to the pairs of a name. */
    pair: async ({ name, a, b }: { name: string; a: Uint8Array; b: Uint8Array }): Promise<void> => {
      const begin = await (pairs ??= createPairs({ engine, features, imageSize, batch }));
      const own = paired.get(name) ?? begin();
      paired.set(name, own);
      await own.add(a, b);
    },
    /** LPIPS and PSNR of all pairs of a name, which is then forgotten. */
    pairMeasures: async (name: string): Promise<PairMeasures> => {
      const own = paired.get(name);
      if (!own) throw new Error(`Cannot measure pairs of "${name}": there are none`);
      paired.delete(name);
      return own.result();
    },
    /** Forgets a set. */
    forget: async (set: string): Promise<void> => void sets.delete(set),
  };
}

/** Some rows of a set as a set; what cannot be taken apart (hash, bands) is that of the whole, or absent. */
function chosen(set: ImageSet, rows: Uint32Array, dimension: number): ImageSet {
  const features = new Float32Array(rows.length * dimension);
  for (const [i, row] of rows.entries()) features.set(set.features.subarray(row * dimension, (row + 1) * dimension), i * dimension);
  return { ...set, count: rows.length, features, bands: new Float64Array(0) };
}

export type Measurer = Awaited<ReturnType<typeof create>>;
