/** Sides that take turns of a few steps, so that whatever else the machine does meets all of them. */
import { setTimeout } from "node:timers/promises";
import type { Side } from "./side.ts";

/** Milliseconds: how long a side works at a time, and rests before. */
const [TURN, PAUSE] = [300, 300];

/** Times the sides for so many rounds, after one that warms up: milliseconds of each step, in `times`. */
export async function takeTurns(sides: readonly Side[], rounds: number): Promise<void> {
  for (let round = -1; round < rounds; round++) {
    for (const side of sides) {
      await setTimeout(PAUSE); // the other side's threads may still be spinning
      const usual = side.times[0] ?? 100;
      const steps = Math.max(2, Math.min(40, Math.round(TURN / usual)));
      const [, ...times] = (await side.ask(String(steps))) as number[]; // the first finds cold caches
      if (round >= 0) side.times.push(...times);
      else side.times = times.slice(-1);
    }
  }
}

export const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] as number;
