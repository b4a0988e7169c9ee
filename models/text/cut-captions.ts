/** What is lost of captions that have more pieces than a text encoder reads. */
import type { Tokenizer } from "./tokenizer.ts";

export interface CutCaptions {
  /** Captions that are cut. */
  longer: number;
  /** Captions that cannot be told from another, different one once they are cut. */
  equal: number;
  /** Of how many different captions those are, and how many are left of these. */
  different: number;
  left: number;
  /** The least length at which none would be cut. */
  needed: number;
}

/** Counts what an encoder of `length` pieces, the end piece among them, loses of these captions. */
export function cutCaptions(options: { captions: readonly string[]; tokenizer: Pick<Tokenizer, "ids">; length: number }): CutCaptions {
  const { captions, tokenizer, length } = options;
  const times = new Map<string, number>();
  for (const caption of captions) times.set(caption, (times.get(caption) ?? 0) + 1);
  const groups = new Map<string, { rows: number; whole: Set<string> }>();
  const found = { longer: 0, equal: 0, different: 0, left: 0, needed: 0 };
  for (const [caption, count] of times) {
    const ids = tokenizer.ids(caption);
    found.needed = Math.max(found.needed, ids.length + 1);
    if (ids.length >= length) found.longer += count;
    const seen = ids.slice(0, length - 1).join(" ");
    const group = groups.get(seen) ?? { rows: 0, whole: new Set() };
    groups.set(seen, group);
    group.rows += count;
    group.whole.add(ids.slice(length - 1).join(" "));
  }
  for (const { rows, whole } of groups.values()) {
    if (whole.size < 2) continue;
    found.equal += rows;
    found.different += whole.size;
    found.left++;
  }
  return found;
}
