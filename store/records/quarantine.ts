/** The file that lists a shard's failures for people: what it must be follows from the shard. */
import { quarantineText } from "./failures.ts";
import { filesAt, namesAt } from "../places/files.ts";
import type { FailedRow } from "./journal.ts";
import { quarantineName, quarantinePath, type Store } from "./layout.ts";
import { within } from "../places/place.ts";
import { readText } from "../places/text.ts";

/** The names of the quarantine files that are there. */
export async function quarantinesOf({ folder }: Store): Promise<Set<string>> {
  return new Set(await namesAt(within(folder, "quarantine")));
}

/** A shard's failures, and which quarantine files its store has. */
interface Known {
  shard: number;
  failed: FailedRow[];
  quarantined: ReadonlySet<string>;
}

/** Whether the quarantine file of a shard is there, where it lists failures, and says what it says. */
export async function quarantineFits(store: Store, { shard, failed, quarantined }: Known): Promise<boolean> {
  if (!quarantined.has(quarantineName(shard))) return failed.length === 0;
  const text = quarantineText(failed);
  const path = quarantinePath(store, shard);
  const size = await filesAt(path).size(path);
  return text !== "" && size === Buffer.byteLength(text) && (await readText(path)) === text;
}

/** Makes a shard's quarantine file what the shard says. */
export async function writeQuarantine(store: Store, { shard, failed }: Pick<Known, "shard" | "failed">): Promise<void> {
  const path = quarantinePath(store, shard);
  if (failed.length > 0) await filesAt(path).replace(path, quarantineText(failed));
  else await filesAt(path).remove(path);
}

/** Makes a shard's quarantine file what the shard says, where it is not. */
export async function mendQuarantine(store: Store, known: Known): Promise<void> {
  if (!(await quarantineFits(store, known))) await writeQuarantine(store, known);
}
