/** What the tables of studies are made of. */
import { numberInWords } from "../../schemas/words.ts";
import type { Summary } from "../evaluate/measures.ts";
import type { Result } from "./results.ts";

/** A row of a table by the heads of its columns. */
export type Row = Record<string, number | string>;

/** The results of a variant, by seed. */
export function resultsOf(variant: string, results: readonly Result[]): Result[] {
  return results.filter((result) => result.variant === variant).sort((a, b) => a.seed - b.seed);
}

/** The distances of runs in so many network calls; of those that were not made for so many there is none. */
export function distancesAt(runs: readonly Result[], count: number): Summary[] {
  return runs.flatMap((run) => run.calls?.find(({ calls }) => calls === count)?.frechetDistance ?? []);
}

/** A mean with its spread, in four digits. */
export const plusMinus = ({ mean, spread }: Summary): string => {
  const rounded = numberInWords(Number(mean.toPrecision(4)));
  return spread === undefined ? rounded : `${rounded} ± ${numberInWords(Number(spread.toPrecision(2)))}`;
};
