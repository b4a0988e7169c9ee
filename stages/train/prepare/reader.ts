/** A training as a reader of triples that are made, and perhaps removed, while it goes on. */
import { resolve } from "node:path";
import { badUsage } from "../../../schemas/failure.ts";
import type { OptimiserSettings, OrderSettings } from "../../../schemas/settings.ts";
import type { TripleManifest } from "../../../schemas/manifest.ts";
import { textHash } from "../../../store/places/hash.ts";
import { leastAfter } from "../../../store/rows/order.ts";
import { isUrl } from "../../../store/places/place.ts";
import { keepingOf, openReader, type RegisteredReader } from "../../../store/shards/readers.ts";
import { removeRead } from "../../../store/shards/removed.ts";
import type { Store } from "../../../store/shards/store.ts";

/** What a training tells the store that it reads. */
export interface Reader {
  /** It goes on after this step: answers who is to be told what it asks for. */
  begin: (fromStep: number) => RegisteredReader["asks"];
  /** It need not go back before this step again. What all readers have passed is removed, where the store is to keep no more. */
  passed: (step: number) => Promise<void>;
  /** It reads no more. */
  end: () => Promise<void>;
}

type Order = OrderSettings & { seed: number; optimiser: OptimiserSettings };

/**
 * Opens a training's reading of triples; `identity` and `out` name it, so that it is the same reader when it is started again, also
 * elsewhere. `first` rows of the store are looked at whenever it is measured.
 */
export function readerOf(
  store: Store<TripleManifest>,
  { identity, out, first, order }: { identity: string; out: string; first: number; order: Order },
): Reader {
  const name = textHash(JSON.stringify([identity, isUrl(out) ? out : resolve(out)])).slice(0, 16);
  const { shards, manifest } = store;
  const { batch } = order.optimiser;
  // Rows that failed are made up for by later ones: as many again.
  const pinned = Math.min(shards, Math.max(1, Math.ceil((2 * first) / manifest.rowsPerShard)));
  const leastAt = (step: number): number => leastAfter({ ...order, batch, shards, rowsPerShard: manifest.rowsPerShard }, step * batch);
  let reader: RegisteredReader | undefined;
  const opened = (from: number): RegisteredReader => (reader ??= openReader(store, { name, out, pinned, from }));
  return {
    begin: (fromStep) => opened(leastAt(fromStep)).asks,
    passed: async (step) => {
      const below = leastAt(step);
      await opened(below).passed(below);
      await removeRead(store);
    },
    end: async () => {
      await opened(shards).ends();
      await removeRead(store);
    },
  };
}

/**
 * Throws a usage failure where a training would read shards again that the store loses once they were read, or where it is to read each
 * once and takes more rows than there are.
 */
export async function checkReading(store: Store<TripleManifest>, { once, optimiser }: Order): Promise<void> {
  const { folder, manifest, shards } = store;
  if (!once) {
    if ((await keepingOf(store)) !== "unread") return;
    throw badUsage(
      `Cannot train on ${folder} in several epochs: its shards are removed once they were read (simulate.keep=unread). ` +
        "Read each once, with --set train.once=true, or make a store that keeps them",
    );
  }
  const rows = shards * manifest.rowsPerShard;
  const { steps, batch } = optimiser;
  if (steps * batch <= rows) return;
  throw badUsage(
    `Cannot train ${steps} steps of ${batch} on ${folder} and read each shard once (train.once): it has ${rows} places, which is ` +
      `${Math.floor(rows / batch)} steps. Lower train.steps, or make a larger store`,
  );
}
