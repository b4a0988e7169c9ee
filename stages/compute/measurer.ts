/** Measures sets of images in a worker: features, band energies, obedience, and the distances between sets. */
import { createEngine } from "../../engine/engine.ts";
import { loadFeatureNetwork } from "../../models/features/load.ts";
import type { EngineSettings } from "../../schemas/settings.ts";
import { type Comparison, compareSets } from "../evaluate/compare.ts";
import { createDescriber, type ImageSet } from "../evaluate/describe.ts";
import { type Obedience, runningObedience } from "../evaluate/obedience.ts";
import { deviceOf } from "./device.ts";

export interface MeasurerOptions {
  /** As `evaluate.features`: "auto", "builtin" or the path of a safetensors file. */
  features: string;
  /** Side of the images, in pixels. */
  imageSize: number;
  batch: number;
  engine: EngineSettings;
}

/** The worker's methods; see engine/compute.ts. Sets of images go by name. */
export async function create({ features, imageSize, batch, engine: where }: MeasurerOptions) {
  const engine = await createEngine(deviceOf(where));
  const network = await loadFeatureNetwork({ path: features, imageSize });
  const describe = await createDescriber({ network, engine, batch });
  const open = (name: string) => ({
    collector: describe(name),
    obedience: runningObedience(),
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

  return {
    /** What the figures will be measured with. */
    network: async () => ({ name: network.name, dimension: network.dimension, hash: network.hash }),
    /** Adds an image [imageSize, imageSize, 3] to a set; `scene` is its caption if that is one of the built-in set's. */
    add: async ({ set, pixels, scene }: { set: string; pixels: Uint8Array; scene?: string }): Promise<void> => {
      const { collector, obedience } = called(set);
      const picture = { pixels, width: imageSize, height: imageSize };
      await collector.add(picture);
      if (scene !== undefined) obedience.add({ ...picture, caption: scene });
    },
    /** Compares two sets, which are then complete. */
    compare: async ({ generated, reference }: { generated: string; reference: string }): Promise<Comparison> =>
      compareSets({ generated: await described(generated), reference: await described(reference), network }),
    /** How the captions of a set were obeyed, where there were any that can be read back. */
    obedience: async (set: string): Promise<Obedience | undefined> => called(set).obedience.result(),
  };
}

export type Measurer = Awaited<ReturnType<typeof create>>;
