/** The ids of a shard for which there is no row, and why: in its metadata, its journal line and its quarantine file. */

/** An id for which there is no row, and why. */
export interface FailedRow {
  id: number;
  name?: string;
  reason: string;
}

/** Failures as JSON has them. Throws an Error that names the first entry that is none. */
export function parseFailures(value: unknown): FailedRow[] {
  if (!Array.isArray(value)) throw new Error(`its failures are no list (${abridged(JSON.stringify(value))})`);
  for (const [i, entry] of value.entries()) {
    const { id, name, reason } = (entry ?? {}) as Record<string, unknown>;
    if (!isCount(id)) throw new Error(`its failure ${i} has no id (${abridged(String(id))})`);
    if (typeof reason !== "string") throw new Error(`its failure ${i} (id ${id}) has no reason`);
    if (name !== undefined && typeof name !== "string") throw new Error(`its failure ${i} (id ${id}) has a name that is no text`);
  }
  return value as FailedRow[]; // as they are: their order of keys is a part of the shard's bytes
}

/** The text of a shard's quarantine file. */
export function quarantineText(failed: FailedRow[]): string {
  return failed.map(({ id, name, reason }) => `${JSON.stringify({ id, name, reason })}\n`).join("");
}

/** Whether a value is a whole number from 0 on that is exact. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** The start of a text from a file, for a message. */
export function abridged(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
