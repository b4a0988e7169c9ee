import { createHash } from "node:crypto";
import type { Engine } from "../../engine/engine.ts";
import type { Program } from "../../engine/program.ts";
import type { FeatureNetwork } from "../features/network.ts";
import { planResize } from "../features/resize.ts";
import { runningBandEnergy } from "./bands.ts";
import { Failure } from "../../schemas/failure.ts";
import { countNotFinite } from "../../schemas/numbers/finite.ts";
import type { Picture } from "../../schemas/images.ts";

/** All that a comparison needs to know of a set of images. */
export interface ImageSet {
  count: number;
  width: number;
  height: number;
  hash: string; // sha256 of all pixels in order, hex
  features: Float32Array; // [count, dimension]
  bands: Float64Array; // mean energy of each frequency band
}

/** Gathers one set, image by image; what it keeps of each is its features. */
export interface Collector {
  /** Throws a Failure where the image has another size than those before it, or where features are not finite. */
  add: (picture: Picture) => Promise<void>;
  /** Throws a Failure where there was no image. */
  finish: () => Promise<ImageSet>;
}

/** A feature network as a program: `images` [batch, size, size, 3] as its resize gives them -> `features` [batch, dimension]. */
export function compileFeatures({ network, engine, batch }: { network: FeatureNetwork; engine: Engine; batch: number }): Promise<Program> {
  const { size, parameters, apply } = network;
  return engine.compile({
    name: "features",
    sets: { network: engine.constants("network", parameters) },
    inputs: { images: { shape: [batch, size, size, 3] } },
    run: ({ network: read }, { images }) => ({ outputs: { features: apply(read, images!) } }),
  });
}

/** Compiles a feature network, `batch` images a run. The result opens a collector for the set that errors call `name`. */
export async function createDescriber({
  network,
  engine,
  batch,
}: {
  network: FeatureNetwork;
  engine: Engine;
  batch: number;
}): Promise<(name: string) => Collector> {
  const { size, dimension } = network;
  const program = await compileFeatures({ network, engine, batch });

  return (name) => {
    const input = new Float32Array(batch * size * size * 3);
    const chunks: Float32Array[] = []; // of `batch` rows each, but the last
    const hash = createHash("sha256");
    let count = 0;
    let plan: ReturnType<typeof planMeasures> | undefined;

    const flush = async (rows: number) => {
      const { features } = await program.run({ images: input });
      const found = Float32Array.from((features as Float32Array).subarray(0, rows * dimension));
      if (countNotFinite(found) > 0) {
        throw new Failure(`Cannot measure ${name}: the features of its images are not finite; name another network in evaluate.features`);
      }
      chunks.push(found);
    };

    return {
      add: async ({ pixels, width, height }) => {
        plan ??= planMeasures({ width, height, size });
        if (width !== plan.width || height !== plan.height) {
          throw new Failure(
            `Cannot measure ${name}: image ${count} has ${width}x${height} pixels, those before it ` +
              `${plan.width}x${plan.height}; bring them to one size with ingest`,
          );
        }
        hash.update(pixels);
        plan.energy.add(pixels);
        input.set(plan.resize(pixels), (count % batch) * size * size * 3);
        count++;
        if (count % batch === 0) await flush(batch);
      },
      finish: async () => {
        if (!plan) throw new Failure(`Cannot measure ${name}: it holds no images`);
        if (count % batch > 0) await flush(count % batch);
        const features = new Float32Array(count * dimension);
        for (const [i, chunk] of chunks.entries()) features.set(chunk, i * batch * dimension);
        const { width, height, energy } = plan;
        return { count, width, height, hash: hash.digest("hex"), features, bands: energy.result() };
      },
    };
  };
}

function planMeasures({ width, height, size }: { width: number; height: number; size: number }) {
  return { width, height, resize: planResize({ width, height, size }), energy: runningBandEnergy({ width, height }) };
}
