/** Waiting for a shard that another stage or process makes: tells what is waited for and since when, and ends what is in vain. */
import type { Context } from "../../schemas/events.ts";
import { Failure } from "../../schemas/failure.ts";
import { durationInWords } from "../../schemas/words.ts";
import { waitForShard } from "../../store/rows/follow.ts";
import { makersOf } from "../../store/places/lock.ts";
import { isUrl } from "../../store/places/place.ts";
import { hasFileOf } from "../../store/records/present.ts";
import type { Store } from "../../store/shards/store.ts";

export interface Vigil {
  /** Ends with the context's signal, or with a Failure once nothing can come any more. */
  signal: AbortSignal;
  /** Takes note that a shard of the store in a folder is waited for. */
  onWait: (folder: string, shard: number) => void;
  close: () => void;
}

/** Milliseconds between two looks, of a wait before it is first told, and that a dead maker may take to be started again, by this clock. */
const PACE = { look: 1000, told: 10_000, grace: 20_000, now: () => performance.now() };

/** Of as many looks one is at a bucket: who waits for the shard asks for it already. */
const SELDOM = 5;

/**
 * Watches over the waits of a stage. A wait that lasts is told, again whenever it has become three times as long; it ends
 * with a Failure when those that made the store have died and nobody has taken their place.
 * `blockedSince` answers since when (as performance.now) the stage has had nothing else to do, undefined while it has.
 */
export function openVigil(options: {
  stage: string;
  context: Context;
  blockedSince?: () => number | undefined;
  pace?: typeof PACE;
}): Vigil {
  const { stage, context, blockedSince = () => 0, pace = PACE } = options;
  const stop = new AbortController();
  let awaited: { folder: string; shard: number; since: number; at: Date; next: number; looks: number; deadSince?: number } | undefined;
  let [isLooking, timer] = [false, undefined as NodeJS.Timeout | undefined];
  const note = (message: string): void => context.report({ type: "note", stage, message });

  async function look(): Promise<void> {
    if (!awaited) return;
    const { folder, shard, since, at, next } = awaited;
    if (isUrl(folder) && ++awaited.looks % SELDOM > 0) return;
    const now = pace.now();
    if (await hasFileOf(folder, shard)) {
      if (next > pace.told) note(`shard ${shard} of ${folder} has come after ${durationInWords((now - since) / 1000)}`);
      awaited = undefined;
      return;
    }
    const blocked = blockedSince();
    if (blocked === undefined) return;
    const makers = await makersOf(folder);
    const dead = makers.filter(({ alive }) => alive === false);
    const isLeft = makers.length > 0 && dead.length === makers.length;
    awaited.deadSince = isLeft ? (awaited.deadSince ?? now) : undefined;
    if (isLeft && now - awaited.deadSince! > pace.grace) {
      const { command, pid, host } = dead[0]!.holder;
      const gone = `${command} (process ${pid} on ${host}), which made it, has ended without finishing`;
      stop.abort(
        new Failure(
          `Cannot go on with ${stage}: it waits for shard ${shard} of ${folder} since ${timeOf(at)}, and ${gone}. ` +
            `Start ${command} again, then repeat this command: it goes on where it is.`,
        ),
      );
      return;
    }
    const waited = now - Math.max(since, blocked);
    if (waited < next) return;
    awaited.next = 3 * next;
    const nobody = makers.length === 0 && !isUrl(folder) ? "; no process is making it now" : "";
    note(`waits for shard ${shard} of ${folder} since ${timeOf(at)}, ${durationInWords((now - since) / 1000)} by now${nobody}`);
  }

  return {
    signal: AbortSignal.any([context.signal, stop.signal]),
    onWait: (folder, shard) => {
      awaited = { folder, shard, since: pace.now(), at: new Date(), next: pace.told, looks: 0 };
      timer ??= setInterval(() => {
        if (isLooking) return;
        isLooking = true;
        look()
          .catch((error) => stop.abort(error))
          .finally(() => {
            isLooking = false;
          });
      }, pace.look);
    },
    close: () => clearInterval(timer),
  };
}

/** Waits for a shard under a vigil of its own. Throws a Failure where it cannot come any more. */
export async function untilThere(store: Store, shard: number, { stage, context }: { stage: string; context: Context }): Promise<void> {
  const vigil = openVigil({ stage, context });
  try {
    await waitForShard(store, shard, { signal: vigil.signal, onWait: () => vigil.onWait(store.folder, shard) });
  } finally {
    vigil.close();
  }
}

/** The time of day at UTC. */
const timeOf = (date: Date): string => `${date.toISOString().slice(11, 19)} UTC`;
