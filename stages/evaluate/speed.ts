/** How fast models sample: one image at a time, and as many as go through at once. */
import type { Context } from "../../schemas/events.ts";
import type { Settings } from "../../schemas/settings.ts";
import { openGenerator } from "../sample/generator.ts";

export interface Speed {
  evaluations: number;
  /** Median milliseconds from noise to one finished picture, one at a time. */
  millisecondsAnImage: number;
  /** Pictures a second, `batch` at a time: the median of the batches. */
  imagesASecond: number;
  batch: number;
}

const ROUNDS = 7;
const SECONDS = 4; // a model's share of a round-robin beyond which no further round begins

/**
 * Times models by name, noise and decoding included, network loading and the first, compiling run not. The models take
 * turns, so that whatever else the machine does falls on all of them alike.
 */
export async function measureSpeed(options: {
  models: Readonly<Record<string, { path: string; steps?: number; prior?: string }>>;
  settings: Settings;
  context: Context;
}): Promise<Record<string, Speed>> {
  const { settings, context } = options;
  const speeds: Record<string, Speed> = {};
  const batches = [1, settings.simulate.batch];
  for (const [i, batch] of batches.entries()) {
    const times = await timeBatches({ ...options, batch });
    for (const [name, { seconds, evaluations }] of Object.entries(times)) {
      const before = speeds[name];
      speeds[name] = {
        evaluations,
        millisecondsAnImage: before?.millisecondsAnImage ?? 1000 * seconds,
        imagesASecond: batch / seconds,
        batch,
      };
    }
    context.report({ type: "progress", stage: "evaluate speed", done: i + 1, total: batches.length, unit: "batch sizes" });
  }
  return speeds;
}

async function timeBatches({ models, settings, context, batch }: Parameters<typeof measureSpeed>[0] & { batch: number }) {
  const open = await Promise.all(
    Object.entries(models).map(async ([name, model]) => {
      const generator = await openGenerator({ ...model, settings, context, batch });
      return { name, generator, seconds: [] as number[] };
    }),
  );
  const sample = async ({ generator }: (typeof open)[number], start: number): Promise<number> => {
    const begun = performance.now();
    for await (const _ of generator.sample({ seed: settings.seed, start, count: batch })); // nothing is kept
    return (performance.now() - begun) / 1000;
  };
  try {
    for (const model of open) await sample(model, 0);
    for (let round = 1; round <= ROUNDS; round++) {
      for (const model of open) {
        const spent = model.seconds.reduce((a, b) => a + b, 0);
        if (model.seconds.length < 3 || spent < SECONDS) model.seconds.push(await sample(model, round * batch));
      }
    }
  } finally {
    for (const { generator } of open) await generator.close();
  }
  return Object.fromEntries(open.map(({ name, generator, seconds }) => [name, { evaluations: generator.nfe, seconds: median(seconds) }]));
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}
