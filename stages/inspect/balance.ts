import { parquetReadObjects } from "hyparquet";
import { namesIn } from "../store/atomic.ts";
import { openBuffer } from "../store/shard.ts";
import { shardName, shardPath, type Store } from "../store/store.ts";
import { join } from "node:path";

export interface Balance {
  rows: number;
  labels: Map<number, number>; // rows of each class
  captioned: number; // rows with a caption
  captions: number; // distinct ones
}

/** Counts the conditions of the shards that are there, reading their label and caption columns alone. */
export async function balanceOf(store: Store, signal: AbortSignal): Promise<Balance> {
  const present = new Set(await namesIn(join(store.folder, "shards")));
  const balance: Balance = { rows: 0, labels: new Map(), captioned: 0, captions: 0 };
  const captions = new Set<string>();
  for (let shard = 0; shard < store.shards; shard++) {
    if (!present.has(shardName(shard))) continue;
    signal.throwIfAborted();
    const file = await openBuffer(shardPath(store, shard));
    try {
      for (const { label, caption } of await parquetReadObjects({ file, columns: ["label", "caption"] })) {
        balance.rows++;
        if (typeof label === "number") balance.labels.set(label, (balance.labels.get(label) ?? 0) + 1);
        if (typeof caption === "string") {
          balance.captioned++;
          captions.add(caption);
        }
      }
    } finally {
      await file.close();
    }
  }
  balance.captions = captions.size;
  return balance;
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
  if (captioned > 0) words.push(`${captioned} captions, ${captions} distinct`);
  return words.join("; ") || "none";
}
