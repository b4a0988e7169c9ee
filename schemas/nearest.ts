import { badUsage, type Failure } from "./failure.ts";

/** The candidate closest to a mistyped word, for "did you mean"; none when even the closest is a different word. */
function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let least = Math.max(2, Math.ceil(word.length / 3)) + 1;
  for (const candidate of candidates) {
    if (Math.abs(word.length - candidate.length) >= least) continue; // so many letters are missing at least
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance >= least) continue;
    least = distance;
    best = candidate;
  }
  return best;
}

/** Optimal string alignment distance: insertions, deletions, substitutions and swaps of two neighbours each cost 1. */
function editDistance(left: string, right: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: right.length + 1 }, (_, j) => j);
  for (let i = 1; i <= left.length; i++) {
    const row = [i];
    for (let j = 1; j <= right.length; j++) {
      const same = left[i - 1] === right[j - 1];
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      const swapped = i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1];
      if (swapped) cost = Math.min(cost, beforeLast[j - 2]! + 1);
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[right.length]!;
}

/** `did you mean "x"?` as the end of a sentence, or `remedy` where nothing is near. */
export function didYouMean(word: string, candidates: Iterable<string>, remedy: string): string {
  const suggestion = nearest(word, candidates);
  return suggestion === undefined ? remedy : `did you mean "${suggestion}"?`;
}

/** The usage failure for a name that is none of `names`: of a `what`, of which there are `whats`. */
export function unknownName(
  name: string,
  { what, whats = `${what}s`, names }: { what: string; whats?: string; names: readonly string[] },
): Failure {
  return badUsage(`Unknown ${what} "${name}": ${didYouMean(name, names, `the ${whats} are ${names.join(", ")}`)}`);
}
