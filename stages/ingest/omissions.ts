/** Where everything goes that is in the input and will not be in the store: counted by reason, the first few in words. */
import type { Problem } from "../../schemas/images.ts";
import { type LeftOut, type LeftOutKind, leftOutInWords } from "../../schemas/left-out.ts";
import { displayName, visible } from "../../schemas/visible.ts";
import { numberInWords } from "../../schemas/words.ts";

/** Something that is left out. Its words are made only where they are kept: there may be millions. */
export interface Omission {
  kind: LeftOutKind;
  source: string;
  /** The file it stands in, as it is called. */
  entry: string;
  row?: number;
  /** What things of its kind have in common. */
  reason: string;
  /** What is wrong with this one, where that is more than the reason. */
  detail?: () => string;
  /** How many it stands for: 1 unless told. */
  count?: number;
}

export interface Omissions {
  add(omission: Omission): void;
  /** The first that cost something, each in words. */
  problems: Problem[];
  /** All by reason, the most frequent first; what cost something before what did not. */
  list(): LeftOut[];
}

const mostReasons = 100;
const mostExamples = 5;
const mostProblems = 20;
const longestWords = 400; // characters

/** An empty account, whose size is bounded whatever is added. */
export function createOmissions(): Omissions {
  const byReason = new Map<string, LeftOut>();
  const problems: Problem[] = [];
  let last: { kind: LeftOutKind; reason: string; line: LeftOut } | undefined; // what comes by the million comes in a row
  const lineOf = (kind: LeftOutKind, reason: string): LeftOut => {
    if (last?.kind === kind && last.reason === reason) return last.line;
    const line = found(kind, reason);
    last = { kind, reason, line };
    return line;
  };
  const found = (kind: LeftOutKind, reason: string): LeftOut => {
    const key = `${kind} ${reason}`;
    const known = byReason.get(key);
    if (known) return known;
    if (byReason.size >= mostReasons && reason !== "other reasons") return found(kind, "other reasons");
    const line = { kind, reason: visible(reason, longestWords), count: 0, first: [] };
    byReason.set(key, line);
    return line;
  };
  return {
    problems,
    add({ kind, source, entry, row, reason, detail, count = 1 }) {
      const line = lineOf(kind, reason);
      line.count += count;
      const isProblem = kind !== "aside" && problems.length < mostProblems;
      if (line.first.length >= mostExamples && !isProblem) return;
      const place = { source: displayName(source), entry: displayName(entry) };
      const at = row === undefined ? [] : [`row ${row}`];
      const said = detail && visible(detail(), longestWords);
      if (line.first.length < mostExamples) line.first.push([place.source, place.entry, ...at, said].filter(Boolean).join(": "));
      if (isProblem) problems.push({ ...place, reason: [...at, said ?? line.reason].join(": ") });
    },
    list: () => [...byReason.values()].sort((a, b) => Number(a.kind === "aside") - Number(b.kind === "aside") || b.count - a.count),
  };
}

/** What was left out of a listing: the first problems, then how many more there are of what kinds, and `where` all are told. */
export function omissionsInWords(
  { problems, leftOut }: { problems: readonly Problem[]; leftOut: readonly LeftOut[] },
  where = "",
): string[] {
  const lost = leftOut.filter(({ kind }) => kind !== "aside");
  const more = lost.reduce((sum, { count }) => sum + count, 0) - problems.length;
  const messages = problems.map(({ source, entry, reason }) => [source, entry, reason].filter(Boolean).join(": "));
  if (more <= 0) return messages;
  const all = [leftOutInWords(lost), where].filter(Boolean).join("; ");
  return [...messages, `and ${numberInWords(more)} more are left out; in all ${all}`];
}
