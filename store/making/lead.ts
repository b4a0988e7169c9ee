/**
 * Which shard a maker makes next that is to stay near those who read them.
 *
 * The rule: it makes the shards up to `lead` after what the slowest training that is at work has asked for; before any has registered the
 * first `lead`. One that was killed is at work until it is forgotten, for it may go on. Once all that registered have ended nothing more is
 * made, since nobody would read it: the maker ends, at once where shards were removed, for no training can begin there any more, and
 * elsewhere when no other has begun for some minutes. Whoever wants the rest makes it without a lead.
 */
import { permutation } from "../../schemas/numbers/philox.ts";
import { rowsOf, type Store } from "../records/layout.ts";
import { hasShard, missingShards, removedShards } from "../records/present.ts";
import { hasEnded, type KnownReader, readersOf } from "../shards/readers.ts";
import { pausedFor } from "../places/pause.ts";

/** Seconds between two looks at the readers while all of them are too far behind: from the first on ever longer. */
const POLL = { first: 0.2, last: 5 };

/** Seconds that a maker looks whether another training begins, once those that were there have ended: a large one takes minutes to load. */
const GRACE = 300;

/** How far a maker may go. */
interface Reach {
  /** Shards below this one may be made. */
  end: number;
  /** The training at work that is the least far. */
  slowest?: KnownReader;
  /** Those that have ended, where none is at work. */
  ended: KnownReader[];
  /** Whether no training can begin any more: shards that it would read were removed. */
  isClosed: boolean;
}

/** What a maker waits for. */
export interface LeadWait extends Omit<Reach, "end"> {
  /** What it would make next. */
  shard: number;
  /** How long it has waited for that. */
  seconds: number;
  /** The seconds after which it ends where no training begins. */
  grace: number;
}

async function reachOf(store: Store, lead: number): Promise<Reach> {
  const readers = await readersOf(store);
  const working = readers.filter((reader) => !hasEnded(store, reader));
  if (working.length === 0) {
    const isClosed = (await removedShards(store)).length > 0;
    return { end: readers.length > 0 || isClosed ? 0 : lead, ended: readers, isClosed };
  }
  const asked = Math.min(...working.map(({ reading }) => reading.asked));
  const slowest = working.find(({ reading }) => reading.asked === asked) as KnownReader;
  return { end: asked + lead, slowest, ended: [], isClosed: false };
}

/**
 * A maker's missing shards, each as soon as the readers are near enough: its `own`, ascending, and then, or while its next one must wait,
 * those of others that are missing (`others`: the part's name, and which are its own), so that nobody waits for what a dead task
 * has left. `onThere` is told of rows that others have made, `onWait` at each look while it waits what for, and `onOver` before it ends
 * with shards left: which trainings have ended, and whether none can begin. Who makes for a training of its own says by `isReading`
 * whether that is still to read: until then the maker waits, and after it for others that are at work alone.
 *
 * @example
 * import { rm } from "node:fs/promises";
 * import { nearReaders } from "./lead.ts";
 * import { askToRegister, openReader } from "../shards/readers.ts";
 * import { shardPath } from "../shards/store.ts";
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
    isReading?: (() => boolean) | undefined;
    grace?: number;
    onThere?: (rows: number) => void;
    onWait?: (wait: LeadWait) => void;
    onOver?: (over: Pick<Reach, "ended" | "isClosed">) => void;
    signal?: AbortSignal;
  },
): AsyncGenerator<number> {
  const { lead, others, isReading, grace = GRACE, onThere, onWait, onOver, signal } = options;
  const own = [...options.own];
  const given = new Set<number>();
  const foreign = async (): Promise<number[]> => (others ? (await missingShards(store)).filter((shard) => !others.isMine(shard)) : []);
  let [waitsSince, aloneSince]: (number | undefined)[] = [];
  for (let pause = POLL.first; ; ) {
    signal?.throwIfAborted();
    const mayComeStill = isReading?.(); // before the look: what it said until then is seen
    const { end, ...reach } = await reachOf(store, lead);
    const now = performance.now();
    aloneSince = reach.slowest ? undefined : (aloneSince ?? now);
    const [next] = own;
    if (next !== undefined && next < end) {
      own.shift();
      pause = POLL.first;
      waitsSince = undefined;
      if (await hasShard(store, next)) onThere?.(rowsOf(store, [next]));
      else yield next;
      continue;
    }
    const left = (await foreign()).filter((shard) => !given.has(shard));
    const near = left.filter((shard) => shard < end);
    const [place] = permutation({ seed: 0, stream: `others of ${others?.part} after ${given.size}`, length: near.length });
    if (place !== undefined) {
      given.add(near[place] as number);
      waitsSince = undefined;
      yield near[place] as number;
      continue;
    }
    const waits = next ?? left[0];
    if (waits === undefined) return;
    waitsSince ??= now;
    if (isOver(reach, { mayComeStill, seconds: (now - (aloneSince ?? now)) / 1000, grace })) return onOver?.(reach);
    onWait?.({ ...reach, shard: waits, seconds: (now - waitsSince) / 1000, grace });
    await pausedFor(1000 * pause, signal);
    pause = Math.min(1.5 * pause, POLL.last);
  }
}

/** Whether nobody is left who would read what is made now; `seconds` after the last was seen at work. */
function isOver(
  { slowest, ended, isClosed }: Omit<Reach, "end">,
  { mayComeStill, seconds, grace }: { mayComeStill: boolean | undefined; seconds: number; grace: number },
): boolean {
  if (slowest) return false;
  if (mayComeStill !== undefined) return !mayComeStill;
  return isClosed || (ended.length > 0 && seconds >= grace);
}
