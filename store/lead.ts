/** Which shard a maker makes next that is to stay near those who read them. */
import { setTimeout } from "node:timers/promises";
import { permutation } from "../schemas/numbers/philox.ts";
import { rowsOf, type Store } from "./layout.ts";
import { hasShard, missingShards } from "./present.ts";
import { type KnownReader, readersOf } from "./readers.ts";

/** Seconds between two looks at the readers while all of them are too far behind: from the first on ever longer. */
const POLL = { first: 0.2, last: 5 };

/** The shards below which a store may be made: `lead` after what the slowest reader has asked for; without readers the first `lead`. */
async function leadEnd(store: Store, lead: number): Promise<{ end: number; slowest?: KnownReader }> {
  const readers = await readersOf(store);
  const asked = Math.min(...readers.map(({ reading }) => reading.asked));
  const slowest = readers.find(({ reading }) => reading.asked === asked);
  return { end: (slowest ? asked : 0) + lead, ...(slowest && { slowest }) };
}

/**
 * A maker's missing shards, each as soon as the readers are near enough: its `own`, ascending, and then, or while its next one must wait,
 * those of others that are missing (`others`: the part's name, and which are its own), so that nobody waits for what a dead task
 * has left. `onThere` is told of rows that others have made, `onWait` before the first wait: which shard waits for which reader.
 *
 * @example
 * import { rm } from "node:fs/promises";
 * import { nearReaders } from "./lead.ts";
 * import { askToRegister, openReader } from "./readers.ts";
 * import { shardPath } from "./store.ts";
 * for (const shard of [1, 4]) await rm(shardPath(latents, shard));
 * await askToRegister(latents, "all");
 * await openReader(latents, { name: "a1", pinned: 0, from: 0 }).asks(4);
 * const given: number[] = [];
 * for await (const shard of nearReaders(latents, { own: [1, 4], lead: 1 })) given.push(shard);
 * assert.deepEqual(given, [1, 4]);
 */
export async function* nearReaders(
  store: Store,
  options: {
    own: readonly number[];
    lead: number;
    others?: { part: string; isMine: (shard: number) => boolean };
    onThere?: (rows: number) => void;
    onWait?: (shard: number, slowest: KnownReader | undefined) => void;
    signal?: AbortSignal;
  },
): AsyncGenerator<number> {
  const { lead, others, onThere, onWait, signal } = options;
  const own = [...options.own];
  const given = new Set<number>();
  const foreign = async (): Promise<number[]> => (others ? (await missingShards(store)).filter((shard) => !others.isMine(shard)) : []);
  for (let pause = POLL.first; ; ) {
    signal?.throwIfAborted();
    const { end, slowest } = await leadEnd(store, lead);
    const [next] = own;
    if (next !== undefined && next < end) {
      own.shift();
      pause = POLL.first;
      if (await hasShard(store, next)) onThere?.(rowsOf(store, [next]));
      else yield next;
      continue;
    }
    const left = (await foreign()).filter((shard) => !given.has(shard));
    const near = left.filter((shard) => shard < end);
    const [place] = permutation({ seed: 0, stream: `others of ${others?.part} after ${given.size}`, length: near.length });
    if (place !== undefined) {
      given.add(near[place] as number);
      yield near[place] as number;
      continue;
    }
    const waits = next ?? left[0];
    if (waits === undefined) return;
    onWait?.(waits, slowest);
    await setTimeout(1000 * pause, undefined, { signal }).catch((error) => {
      throw signal?.aborted ? signal.reason : error;
    });
    pause = Math.min(1.5 * pause, POLL.last);
  }
}
