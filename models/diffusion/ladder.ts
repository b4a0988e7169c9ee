/** A teacher's path as the states that a store keeps of it: rungs from pure noise down to the result, and pairs of them. */
import type { Parameterisation } from "./parameterisation.ts";

/** What a row of triples is on its path. Arrays are [batch * h * w * c]. */
interface Path {
  noise?: Float32Array;
  states?: readonly Float32Array[];
  latent?: Float32Array;
}

export interface Ladder {
  /** Noise levels of the rungs, from sigmaMax down to sigmaMin, for which the result stands. */
  sigmas: number[];
  /** The states there, in the same order. */
  rungs: (path: Path) => Float32Array[];
  /** The rungs nearest to `count` equal parts of the time, from the second on: where segments end, the last rung among them. */
  ends: (count: number) => number[];
}

/** The ladder of triples that keep states at the levels `trajectory`, which fall. */
export function ladderOf({ timeOf, sigmaMin, sigmaMax }: Parameterisation, trajectory: readonly number[]): Ladder {
  const kept = trajectory.flatMap((sigma, i) => (sigma < sigmaMax * (1 - 1e-6) && sigma > sigmaMin * (1 + 1e-6) ? [i] : []));
  const sigmas = [sigmaMax, ...kept.map((i) => trajectory[i] as number), sigmaMin];
  const [first, last] = [timeOf(sigmaMax), timeOf(sigmaMin)];
  const shares = sigmas.map((sigma) => (timeOf(sigma) - last) / (first - last));
  const nearest = (share: number): number =>
    shares.reduce((best, own, i) => (Math.abs(own - share) < Math.abs((shares[best] as number) - share) ? i : best), 0);
  return {
    sigmas,
    rungs: ({ noise, states = [], latent }) => [
      (noise as Float32Array).map((value) => value * sigmaMax),
      ...kept.map((i) => states[i] as Float32Array),
      latent as Float32Array,
    ],
    ends: (count) => [...new Set(Array.from({ length: count }, (_, i) => nearest(1 - (i + 1) / count)))].filter((rung) => rung > 0),
  };
}

/** Two rungs a row: that of a state, and a lower one that its path goes on to. */
export interface RungPairs {
  upper: number[];
  lower: number[];
}

/**
 * One pair a row, of those that follow each other down a path: the time has as many equal parts as there are pairs, and a row's share of
 * it, 0 at the result and below 1, lies in the part of its pair.
 */
export function pairsAt(shares: readonly number[], { upper, lower }: RungPairs): RungPairs {
  const chosen = shares.map((share) => lower.length - 1 - Math.floor(share * lower.length)); // rising in time: falling in rungs
  return { upper: chosen.map((i) => upper[i] as number), lower: chosen.map((i) => lower[i] as number) };
}

/** The two states of each row, [rows * h * w * c], and their noise levels `down`, [rows, 2]. */
export function pairedStates(
  { sigmas, rungs }: Ladder,
  path: Path,
  { upper, lower }: RungPairs,
): Record<"state" | "next" | "down", Float32Array> {
  const states = rungs(path);
  return {
    state: pickedRows(states, upper),
    next: pickedRows(states, lower),
    down: Float32Array.from(upper.flatMap((rung, row) => [sigmas[rung] as number, sigmas[lower[row] as number] as number])),
  };
}

/** Of each row the values of the array that `chosen` names for it: arrays and answer are [rows * size]. */
export function pickedRows(arrays: readonly Float32Array[], chosen: readonly number[]): Float32Array {
  const picked = new Float32Array((arrays[0] as Float32Array).length);
  const size = picked.length / chosen.length;
  chosen.forEach((of, row) => picked.set((arrays[of] as Float32Array).subarray(row * size, (row + 1) * size), row * size));
  return picked;
}
