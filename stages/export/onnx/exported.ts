/** Draws with an exported folder in a worker, as a program of somebody else would. */
import type { SampleNoise } from "../../../models/diffusion/sample-noise.ts";
import { type ConditionRows, type Drawable, type Drawn, openRunner } from "./runner.ts";

export interface ExportedOptions {
  folder: string;
  json: Drawable;
  threads: number;
}

/** All that some pictures are drawn from. */
export interface DrawnFrom {
  rows: number;
  noise: SampleNoise;
  conditions: ConditionRows;
}

/** Milliseconds a picture: of one call of each graph, and of all. */
export type Speed = Record<"generator" | "decoder" | "text" | "image", number>;

/** Repetitions of which the median counts, and how long they may take together. */
const [REPETITIONS, MILLISECONDS] = [9, 2000];

/** The worker's methods; see engine/compute.ts. */
export async function create({ folder, json, threads }: ExportedOptions) {
  const runner = await openRunner({ folder, json, threads });
  const calls = json.sampler.kind === "loop" ? json.sampler.calls : 1;
  return {
    draw: (from: DrawnFrom): Promise<Drawn> => runner.draw(from),
    /** Of one picture, after a first one that does not count. */
    speed: async (from: DrawnFrom): Promise<Speed> => {
      await runner.draw(from);
      const begin = performance.now();
      const taken: Speed[] = [];
      while (taken.length === 0 || (taken.length < REPETITIONS && performance.now() - begin < MILLISECONDS)) {
        await runner.draw(from);
        const { generator, decoder, text } = runner.timed();
        taken.push({ generator: generator / calls, decoder, text, image: generator + decoder + text });
      }
      const [median] = taken.sort((a, b) => a.image - b.image).slice(Math.floor(taken.length / 2));
      return median as Speed;
    },
  };
}

export type ExportedWorker = Awaited<ReturnType<typeof create>>;
