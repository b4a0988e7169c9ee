/** How far pictures are from those that they stand for: LPIPS and PSNR of pairs. */
import type { Engine } from "../../engine/engine.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import { type ImageSize, sidesOf } from "../../schemas/images.ts";
import { loadTracedFeatures } from "../features/load.ts";
import { tracedFeatureSets } from "../features/traced.ts";
import { featureDifference } from "../losses/distance.ts";

/** Over all pairs. */
export interface PairMeasures {
  /** Mean LPIPS over the feature maps of the network, its layers' weights 1 (models/losses/distance.ts); 0 for equal pictures. */
  lpips: number;
  /** 10 log10(255^2 / mean squared error) over all values of all pictures, in decibels; infinite for equal pictures. */
  psnr: number;
  count: number;
}

export interface Pairs {
  /** Pictures [rows, height, width, 3] and those they are compared with. */
  add: (a: Uint8Array, b: Uint8Array) => Promise<void>;
  result: () => PairMeasures;
}

/** Answers what compares pairs by the feature network `features` (as `loadFeatureNetwork`), each call a count of its own. */
export async function createPairs(options: {
  engine: Engine;
  features: string;
  imageSize: ImageSize;
  batch: number;
}): Promise<() => Pairs> {
  const { engine, features, imageSize, batch } = options;
  const [height, width] = sidesOf(imageSize);
  const { networks, weights } = await loadTracedFeatures({
    paths: [features],
    imageSize: Math.max(height, width),
    setting: "evaluate.features",
  });
  const taps = tracedFeatureSets(networks);
  const shape = [batch, height, width, 3];
  const program = await engine.compile({
    name: "LPIPS",
    sets: { features: engine.constants("LPIPS features", weights) },
    inputs: { a: { shape }, b: { shape } },
    run: (sets, { a, b }) => {
      const maps = (images: Tensor): Tensor[] => taps(sets.features, images).flat();
      return { outputs: { distance: featureDifference(maps(a as Tensor), maps(b as Tensor)) } };
    },
  });
  const length = height * width * 3;
  const images = (pixels: Uint8Array): Float32Array =>
    Float32Array.from({ length: batch * length }, (_, i) => (pixels[i % pixels.length] as number) / 127.5 - 1);

  return () => {
    let [distance, squared, count] = [0, 0, 0];
    return {
      add: async (a, b) => {
        for (let i = 0; i < a.length; i++) squared += ((a[i] as number) - (b[i] as number)) ** 2;
        for (let from = 0; from < a.length; from += batch * length) {
          const part = (of: Uint8Array): Float32Array => images(of.subarray(from, Math.min(from + batch * length, of.length)));
          const rows = Math.min(batch, (a.length - from) / length);
          const found = (await program.run({ a: part(a), b: part(b) })).distance as Float32Array;
          for (let row = 0; row < rows; row++) distance += found[row] as number;
          count += rows;
        }
      },
      result: () => ({ lpips: distance / count, psnr: 10 * Math.log10((255 ** 2 * count * length) / squared), count }),
    };
  };
}
