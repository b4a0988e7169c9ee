/** Makes shards of a triple store: conditions | teacher's ODE where nothing is kept | store */
import type { Compute } from "../../engine/compute.ts";
import type { Context } from "../../schemas/events.ts";
import type { Settings } from "../../schemas/settings.ts";
import type { TripleManifest } from "../../schemas/manifest.ts";
import type { Sampler } from "../workers/sampler.ts";
import { drain, pull } from "../flow/mod.ts";
import type { Denoiser } from "../runs/model.ts";
import type { RowCondition, RowConditions } from "./row-conditions.ts";
import { conditionShards, type Kept, type Sample, simulateShards, writeTripleShards } from "./simulate.ts";
import { rowsOf } from "../../store/records/layout.ts";
import type { Store } from "../../store/shards/store.ts";
import type { OpenConditions } from "../sample/conditions.ts";
import { withThreads } from "../workers/threads.ts";
import { startSamplers } from "../workers/samplers.ts";

/** Rows of one call of the sampler: what a row's last bits may depend on. */
export function batchOf({ entries, rowsPerShard }: { entries: number; rowsPerShard: number }, batch: number): number {
  return Math.min(batch, rowsPerShard, entries);
}

/** A teacher, and how it is given its conditions. */
export type Asked = Denoiser & { given: OpenConditions };

/** Fills the given shards. The teacher is loaded when the first row must be simulated; answers figures about that. */
export async function fillTriples(options: {
  store: Store<TripleManifest>;
  /** The shards to make; given one after the other, they are asked for when there is room for them. */
  shards: readonly number[] | AsyncIterable<number>;
  /** Rows that need not be made here, those that others have made meanwhile included; all but those of `shards` unless told. */
  elsewhere?: () => number;
  /** Whether another process has made a shard meanwhile, which is then left as it is. */
  isMade?: (shard: number) => Promise<boolean>;
  conditions: Pick<RowConditions, "of">;
  keep?: (shard: number, conditions: RowCondition[]) => Promise<Kept | undefined>;
  teacher: () => Promise<Asked>;
  /** Of the sampler's engine; the settings' otherwise. */
  threads?: number;
  settings: Settings;
  context: Context;
}): Promise<Record<string, number>> {
  const { store, shards, isMade, conditions, keep, settings, context } = options;
  const { signal, report } = context;
  if (Array.isArray(shards) && shards.length === 0) return {};
  const { elsewhere = () => store.manifest.entries - rowsOf(store, shards as number[]) } = options;
  const batch = batchOf(store.manifest, settings.simulate.batch);

  let compute: Compute<Sampler> | undefined;
  let simulated = 0;
  let seconds = 0;
  const start = async () => {
    const { description, weights, given } = await options.teacher();
    const engine = withThreads(settings.engine, options.threads ?? settings.simulate.threads);
    const { workers } = settings.simulate;
    compute = await startSamplers({ spec: description.spec, weights, plan: settings.simulate, batch, engine, workers, signal });
    return { compute, teacher: given };
  };
  let started: ReturnType<typeof start> | undefined;
  const sample: Sample = async ({ noise, rows, keep, ...given }) => {
    const { compute, teacher } = await (started ??= start());
    const before = performance.now();
    const embeddings = store.manifest.embedding && (await teacher.embed?.(given.caption));
    const conditions = await teacher.inputs(embeddings ? { ...given, embedding: embeddings } : given);
    const solved = await compute.call("solve", { noise, rows, keep, conditions });
    seconds += (performance.now() - before) / 1000;
    simulated += rows;
    return { ...solved, embeddings };
  };

  try {
    await drain(
      pull(() => shards).pipe(
        conditionShards({ store, conditions, keep }),
        simulateShards({ store, sample, batch, atOnce: settings.simulate.workers, elsewhere, isMade, report }),
        writeTripleShards(store, isMade),
      ),
      { signal },
    );
    if (!compute) return {};
    const evaluations = await compute.call("evaluations", undefined as never);
    return { evaluations, "seconds per triple": seconds / settings.simulate.workers / simulated };
  } finally {
    await started?.catch(() => {}); // a worker about to start is closed too
    await compute?.close();
  }
}
