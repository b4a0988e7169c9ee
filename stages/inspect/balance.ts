import type { StoreRow } from "./rows.ts";
import { createTally, type Tally } from "./tally.ts";

/** The conditions of a store's rows, counted. */
export interface Balance {
  rows: number;
  labels: Map<number, number>; // rows of each class; of the first 65,536 labels that came, where there are more
  captioned: number; // rows with a caption
  captions: Tally; // distinct ones
}

/** A balance of no rows yet. */
export function createBalance(): Balance {
  return { rows: 0, labels: new Map(), captioned: 0, captions: createTally(2 ** 17) };
}

const mostLabels = 2 ** 16;

/** Counts one row. */
export function countCondition(balance: Balance, { label, caption }: Pick<StoreRow, "label" | "caption">, id: number): void {
  balance.rows++;
  if (typeof label === "number" && (balance.labels.has(label) || balance.labels.size < mostLabels)) {
    balance.labels.set(label, (balance.labels.get(label) ?? 0) + 1);
  }
  if (typeof caption !== "string") return;
  balance.captioned++;
  balance.captions.add(caption, id);
}

/** The balance in words: how many classes, and the rows of the fewest and the most frequent. */
export function inWords({ rows, labels, captioned, captions }: Balance, classes: readonly string[]): string {
  const words: string[] = [];
  if (labels.size > 0) {
    const counts = [...labels].sort((a, b) => a[1] - b[1]);
    const [least, most] = [counts[0]!, counts.at(-1)!];
    const name = ([label, count]: [number, number]) => `${classes[label] ?? label} ${count}`;
    words.push(`${labels.size} classes, rows from ${name(least)} to ${name(most)}`);
    const unlabelled = rows - counts.reduce((sum, [, count]) => sum + count, 0);
    if (unlabelled > 0) words.push(`${unlabelled} without a class`);
  }
  const { distinct, estimated } = captions.counts();
  if (captioned > 0) words.push(`${captioned} captions, ${estimated ? "about " : ""}${distinct} distinct`);
  return words.join("; ") || "none";
}
