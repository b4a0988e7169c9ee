/** planned shards | conditions | teacher's ODE | triple store */
import type { Context } from "../schemas/events.ts";
import { Failure } from "../schemas/failure.ts";
import { version } from "../schemas/package.ts";
import { writeSettings } from "../schemas/resolve-settings.ts";
import type { Settings } from "../schemas/settings.ts";
import type { Sampler, SamplerOptions } from "../stages/compute/sampler.ts";
import { drain, pull } from "../stages/flow/mod.ts";
import { readCodec, readDenoiser, writeCodec } from "../stages/model.ts";
import { conditionsOf, openRowConditions } from "../stages/row-conditions.ts";
import { conditionShards, simulateShards, tripleManifestOf, writeTripleShards } from "../stages/simulate.ts";
import { idRange, missingShards } from "../stages/store/store.ts";
import { sealStore, type Summary } from "../stages/store/summary.ts";
import { createTripleStore } from "../stages/store/triples.ts";
import { withThreads } from "../stages/threads.ts";
import { startWorker } from "../stages/worker.ts";

/**
 * Simulates a teacher's probability-flow ODE into a triple store at `out`, under the labels or captions of the latent
 * store `conditions` (which ingest may still be writing), or the teacher's own. Goes on where an earlier run stopped;
 * the result is the same. Throws a Failure when `teacher` is none, when another store stands at `out`, or when no row
 * came out finite.
 */
export async function simulate(options: {
  teacher: string;
  conditions?: string;
  out: string;
  /** Of the sampler's engine; the settings' otherwise. */
  threads?: number;
  settings: Settings;
  context: Context;
}): Promise<Summary> {
  const { out, settings, context } = options;
  const { signal, report } = context;
  const { description, weights } = await readDenoiser(options.teacher);
  const { role, spec } = description;
  if (role !== "teacher") {
    throw new Failure(`Cannot simulate ${options.teacher}: it holds a ${role}. Name a RUN of \`pipeline pretrain teacher\`.`);
  }
  if (spec.network.condition === "none" && settings.simulate.guidance !== 1) {
    report({ type: "warning", stage: "simulate", message: `${options.teacher} takes no conditions: simulate.guidance has no effect` });
  }
  const conditions = await openRowConditions({
    ...{ teacher: description, latents: options.conditions, seed: settings.seed },
    onWait: (shard) => report({ type: "note", stage: "simulate", message: `waiting for ingest to write shard ${shard} of ${options.conditions}` }),
  });
  const manifest = tripleManifestOf({ teacher: description, conditions: conditions.identity, settings, version: version() });
  const store = await createTripleStore({ folder: out, manifest });
  await writeCodec(out, await readCodec(options.teacher));
  await writeSettings(out, { ...settings, network: spec.network, diffusion: spec.diffusion });

  const missing = await missingShards(store);
  const figures: Record<string, number> = {};
  if (missing.length > 0) {
    const { entries, rowsPerShard } = store.manifest;
    const rows = missing.map((shard) => idRange(store.manifest, shard)).reduce((sum, { from, to }) => sum + to - from, 0);
    const batch = Math.min(settings.simulate.batch, rowsPerShard, entries);
    const sampler: SamplerOptions = { spec, weights, plan: settings.simulate, batch, engine: withThreads(settings.engine, options.threads ?? settings.simulate.threads) };
    const compute = await startWorker<Sampler>({
      name: "teacher sampler",
      module: new URL("../stages/compute/sampler.ts", import.meta.url),
      remedy: "lower simulate.batch",
      options: sampler,
      signal,
    });
    const start = performance.now();
    try {
      figures.evaluations = await compute.call("evaluations", undefined as never);
      await drain(
        pull(() => missing).pipe(
          conditionShards({ store, conditions }),
          simulateShards({ store, compute, inputs: conditionsOf(description).inputs, batch, done: entries - rows, report }),
          writeTripleShards(store),
        ),
        { signal },
      );
    } finally {
      await compute.close();
    }
    figures["seconds per triple"] = (performance.now() - start) / 1000 / rows;
  }

  const summary = await sealStore(store);
  const { rows, rejected, shards, bytes } = summary;
  report({ type: "result", stage: "simulate", values: { out, rows, rejected, shards, bytes, ...figures } });
  return summary;
}
