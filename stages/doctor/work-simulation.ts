/**
 * The making of a store by many workers, simulated event by event: each makes its own part, then missing shards of others at random,
 * as `--part auto/N` does. Workers load, differ in speed, and may be preempted. Tells how much longer it takes than work that is shared
 * perfectly.
 */
import { setImmediate } from "node:timers/promises";
import { permutation, uniforms } from "../../schemas/numbers/philox.ts";
import { createEvents } from "./events.ts";

export interface Making {
  workers: number;
  shards: number;
  /** Of a worker of speed 1. */
  secondsPerShard: number;
  /** Seconds from the start of a worker, or from its preemption, to its first row. */
  load: number;
  /** Mean seconds to a worker's preemption, whose times are exponential; never unless told. */
  preempt?: number | undefined;
  /** Whether a worker makes a shard to its end that another has had first; it gives it up otherwise. */
  runsOn?: boolean;
  seed: number;
  signal?: AbortSignal;
}

export interface Made {
  /** Seconds until the last shard is there. */
  seconds: number;
  /** The same over the time of work that is shared perfectly and never interrupted. */
  overIdeal: number;
  /** Shares of all workers' time until then: in shards that a preemption cut short, and in shards that another had first. */
  lost: number;
  duplicated: number;
}

/** One worker in twenty, and at least one of several, has half the speed; all vary by a tenth each way. */
const SLOW = 0.05;
const SPREAD = 0.1;

/** Events between two looks at the signal, some 50 ms. */
const EVENTS = 50_000;

/** Simulates one making; the same seed gives the same. Throws the signal's reason once that is aborted. */
export async function simulateMaking(making: Making): Promise<Made> {
  const { workers, shards, secondsPerShard, load, preempt, runsOn = false, seed, signal } = making;
  const random = drawing(seed);
  const slow = workers > 1 ? Math.max(1, Math.round(SLOW * workers)) : 0;
  const places = permutation({ seed, stream: "slow workers", length: workers });
  const speeds = Float64Array.from(places, (place) => (1 + SPREAD * (2 * random() - 1)) * (place < slow ? 0.5 : 1));
  const ideal = (shards * secondsPerShard) / speeds.reduce((sum, speed) => sum + speed, 0);

  const done = new Uint8Array(shards);
  const own = Uint32Array.from({ length: workers }, (_, worker) => worker); // the next of the own part
  const missing = createMissing(shards);
  const current = new Int32Array(workers).fill(-1);
  const began = new Float64Array(workers);
  const life = new Uint32Array(workers); // of what a worker is at: an event of an earlier one is void
  const makers = new Map<number, number[]>();
  const events = createEvents();
  let [now, lost, duplicated] = [0, 0, 0];

  /** The next shard of a worker; -1 where nothing is missing. */
  const next = (worker: number): number => {
    for (; own[worker]! < shards; own[worker]! += workers) if (!done[own[worker]!]) return own[worker]!;
    // The next that is not done of a random order is any of those that are missing, each as likely.
    return missing.left() === 0 ? -1 : missing.at(Math.floor(random() * missing.left()));
  };
  const begin = (worker: number): void => {
    const shard = next(worker);
    current[worker] = shard;
    if (shard === -1) return;
    began[worker] = now;
    const others = makers.get(shard); // thousands, where devices are many and shards few
    if (others) others.push(worker);
    else makers.set(shard, [worker]);
    events.add({ time: now + secondsPerShard / speeds[worker]!, worker, life: life[worker]!, kind: "made" });
  };
  const start = (worker: number): void => {
    events.add({ time: now + load, worker, life: life[worker]!, kind: "loaded" });
    if (preempt) events.add({ time: now - preempt * Math.log(1 - random()), worker, life: life[worker]!, kind: "preempted" });
  };
  for (let worker = 0; worker < workers; worker++) start(worker);
  for (let seen = 1; missing.left() > 0; seen++) {
    if (seen % EVENTS === 0) await setImmediate();
    signal?.throwIfAborted();
    const event = events.take();
    if (!event) break;
    const { worker, time, kind } = event;
    if (event.life !== life[worker]) continue;
    const shard = current[worker]!;
    // What ends meanwhile is of a shard given up.
    if (kind === "made" && (shard === -1 || time < began[worker]! + secondsPerShard / speeds[worker]! - 1e-6)) continue;
    now = time;
    if (kind === "loaded") begin(worker);
    if (kind === "made") {
      if (done[shard]) duplicated += now - began[worker]!;
      else missing.remove(shard);
      done[shard] = 1;
      const all = runsOn ? [worker] : (makers.get(shard) ?? []);
      makers.delete(shard);
      for (const each of all) if (each !== worker) duplicated += now - began[each]!;
      for (const each of all) begin(each);
    }
    if (kind === "preempted") {
      if (shard !== -1) {
        lost += now - began[worker]!;
        makers.set(
          shard,
          (makers.get(shard) ?? []).filter((each) => each !== worker),
        );
      }
      current[worker] = -1;
      life[worker]!++;
      start(worker);
    }
  }
  const all = workers * now;
  return { seconds: now, overIdeal: now / ideal, lost: lost / all, duplicated: duplicated / all };
}

/** The shards that are missing, in any order. */
function createMissing(shards: number): { left: () => number; at: (place: number) => number; remove: (shard: number) => void } {
  const list = Uint32Array.from({ length: shards }, (_, shard) => shard);
  const places = list.slice();
  let left = shards;
  return {
    left: () => left,
    at: (place) => list[place]!,
    remove: (shard) => {
      const last = list[--left]!;
      const place = places[shard]!;
      list[place] = last;
      places[last] = place;
    },
  };
}

/** Uniform numbers one after the other. */
function drawing(seed: number): () => number {
  const BLOCK = 1024;
  let block: Float64Array = new Float64Array(0);
  let drawn = 0;
  return () => {
    if (drawn % BLOCK === 0) block = uniforms({ seed, stream: "making", offset: drawn, length: BLOCK });
    return block[drawn++ % BLOCK]!;
  };
}
