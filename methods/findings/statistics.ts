/** What the rules read histories with. */
import { type Line, valuesOf } from "../../schemas/figures.ts";

/** The mean; 0 of none. */
export const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

/** The middle value, the upper of two; 0 of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** A share in whole percent. */
export const percent = (share: number): string => `${Math.round(100 * share)} %`;

/** The last `count` values of a figure, if so many stand in the last `2 * count` lines. */
export function recent(history: readonly Line[], name: string, count: number): number[] {
  return valuesOf(history.slice(-2 * count), name)
    .slice(-count)
    .map(({ value }) => value);
}
