/** What one of several processes makes of a triple store: in its turn, and no further than the trainings that read it need. */
import type { Context } from "../../schemas/events.ts";
import type { TripleManifest } from "../../schemas/manifest.ts";
import { durationInWords } from "../../schemas/words.ts";
import { rowsOf } from "../../store/records/layout.ts";
import { type LeadWait, nearReaders } from "../../store/making/lead.ts";
import { ownThenOthers } from "../../store/making/others.ts";
import { hasShard, without } from "../../store/records/present.ts";
import { readerInWords } from "../../store/shards/readers.ts";
import { shareOf } from "../../store/making/share.ts";
import type { Store } from "../../store/shards/store.ts";
import type { Work } from "../../store/making/work.ts";
import type { fillTriples } from "./fill-triples.ts";

/** Which trainings have ended, where none is at work, and whether none can begin any more. */
type Ended = Pick<LeadWait, "ended" | "isClosed">;

/** Seconds after which a wait is told again: of the first time, and then whenever it has become three times as long. */
const AGAIN = 600;

interface Planned {
  work: Work;
  shards: number[];
  lead: number | undefined;
  isReading: (() => boolean) | undefined;
  context: Context;
}

/**
 * Which `shards` are made when, and what others make meanwhile. What is repaired or tried again has a file, and is made all the same,
 * first and whoever reads. `whyLeft` answers, when all was given, why shards are left where that is because nobody reads them.
 */
export function sharedWork(
  store: Store<TripleManifest>,
  { work, shards, lead, isReading, context }: Planned,
): Pick<Parameters<typeof fillTriples>[0], "shards" | "elsewhere" | "isMade"> & { whyLeft: () => string | undefined } {
  const { part, others } = work;
  const isMine = shareOf(work, store.shards);
  const helps = part !== undefined && others && !work.repair && !work.retry;
  let why: string | undefined;
  const whyLeft = () => why;
  if (!helps && lead === undefined) return { shards, whyLeft };
  const mine = Array.from({ length: store.shards }, (_, shard) => shard).filter(isMine);
  let there = rowsOf(store, mine) - rowsOf(store, shards);
  const again = shards.filter((shard) => store.remade.has(shard));
  const shared = { own: without(shards, again), onThere: (rows: number) => void (there += rows) };
  const near = (lead: number): AsyncIterable<number> =>
    nearReaders(store, {
      ...{ ...shared, lead, isReading, signal: context.signal },
      ...(helps && { others: { part, isMine } }),
      onWait: tellsWaits(store, isReading, context),
      onOver: (ended) => void (why = whyUnread(ended)),
    });
  return {
    shards: lead === undefined ? ownThenOthers(store, { ...shared, part: part as string, isMine }) : oneAfterTheOther(again, near(lead)),
    elsewhere: () => (helps ? there : store.manifest.entries - rowsOf(store, shards)),
    ...(helps && { isMade: (shard: number) => hasShard(store, shard) }),
    whyLeft,
  };
}

async function* oneAfterTheOther(first: Iterable<number>, second: AsyncIterable<number>): AsyncGenerator<number> {
  yield* first;
  yield* second;
}

/** Why shards are left where nobody reads them, and how they are made all the same. */
function whyUnread(over: Ended): string {
  const remedy = over.isClosed
    ? "no other can begin, since shards were removed; leave simulate.lead out to make all of it"
    : "begin another and then repeat this, or leave simulate.lead out to make all of it";
  return `${endedInWords(over)} (simulate.lead); ${remedy}`;
}

/** Says for whom simulation waits: once of each, and again of a wait that lasts. */
function tellsWaits({ folder }: Store, isReading: Planned["isReading"], { report }: Context): (wait: LeadWait) => void {
  const next = new Map<string, number>();
  return (wait) => {
    const { shard, seconds } = wait;
    const { who, remedy, name = who } = awaited(wait, folder, isReading);
    const due = next.get(name) ?? 0;
    if (seconds < due) return;
    next.set(name, Math.max(AGAIN, 3 * due));
    const long = due > 0 ? ` for ${durationInWords(seconds)} by now` : "";
    report({ type: "note", stage: "simulate", message: `shard ${shard} of ${folder} waits${long} for ${who} (simulate.lead)${remedy}` });
  };
}

function awaited(wait: LeadWait, folder: string, isReading: Planned["isReading"]): { name?: string; who: string; remedy: string } {
  const { slowest, ended, grace } = wait;
  if (slowest) {
    const { name } = slowest;
    return {
      name,
      who: `the training ${readerInWords(slowest)}`,
      remedy: `; if that will not go on: pipeline verify ${folder} --forget ${name}`,
    };
  }
  if (isReading) return { who: "the training of this run", remedy: "" };
  if (ended.length === 0) return { who: "a training that reads it", remedy: "; start one, or leave simulate.lead out to make all of it" };
  return {
    who: "another training",
    remedy: `: ${endedInWords(wait)}, and where none begins within ${durationInWords(grace)} simulation ends`,
  };
}

/** The trainings that have ended, in words; the first of many. */
function endedInWords({ ended }: Ended): string {
  const [first, ...others] = ended;
  if (!first) return "no training reads it";
  const name = readerInWords(first);
  return others.length === 0 ? `the training ${name} has ended` : `the ${ended.length} trainings that read it have ended (${name}, ...)`;
}
