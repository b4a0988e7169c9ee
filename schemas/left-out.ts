/**
 * What was there and is not in a store, counted by reason: STORE/left-out.json. It is a function of the listing alone (no clock,
 * no path of the machine), and bounded however much is left out. Images that could not be decoded stand in the quarantine instead.
 */
import * as z from "zod";
import { parsedJson } from "./json.ts";
import { numberInWords } from "./words.ts";

/** What was lost: captions, labels, whole files; `aside` is no loss (litter, the bookkeeping of tools, stores in the folder). */
const kind = z.enum(["captions", "labels", "files", "aside"]);

const singular: Record<LeftOutKind, string> = { captions: "caption", labels: "label", files: "file", aside: "aside" };

const leftOut = z.strictObject({
  kind,
  reason: z.string(),
  count: z.int().positive(),
  first: z.array(z.string()), // where the first few stand, in words that are safe to print
});

const record = z.strictObject({ leftOut: z.array(leftOut) });

export type LeftOut = z.infer<typeof leftOut>;
export type LeftOutKind = z.infer<typeof kind>;

/** The text of left-out.json. */
export function leftOutText(list: LeftOut[]): string {
  return `${JSON.stringify({ leftOut: list }, null, 2)}\n`;
}

/** What a left-out.json says; undefined where it is none. */
export function parseLeftOut(text: string): LeftOut[] | undefined {
  return record.safeParse(parsedJson(text)).data?.leftOut;
}

/** The count, and the most frequent reasons with theirs and the first place: `4 (3 captions: no text (first: a.csv: row 2); ...)`. */
export function leftOutInWords(list: LeftOut[], most = 3): number | string {
  const total = list.reduce((sum, { count }) => sum + count, 0);
  if (total === 0) return 0;
  const shown = list.slice(0, most).map(({ kind, reason, count, first: [first = ""] }) => {
    const place = first === "" ? "" : ` (${count === 1 ? "" : "first: "}${first})`;
    return `${numberInWords(count)} ${count === 1 ? singular[kind] : kind}: ${reason}${place}`;
  });
  const more = list.length > most ? `; and ${list.length - most} more reasons` : "";
  return `${numberInWords(total)} (${shown.join("; ")}${more})`;
}
