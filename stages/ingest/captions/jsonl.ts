import { displayName } from "../../../schemas/visible.ts";
import { isLabelColumn, longestRow, type Row, TOO_LONG, type Wrong } from "./rows.ts";
import { NOT_UTF8, textOf } from "./text.ts";

const [lf, cr, brace, space, tab] = [0x0a, 0x0d, 0x7b, 0x20, 0x09];
const BAD: Wrong = { reason: "not valid JSON" };

/** The rows of captions in a file of JSON lines: file_name and text (or caption). One line is in memory at a time. */
export function* jsonRows(bytes: Uint8Array): Generator<Row> {
  let from = 0;
  for (let row = 1; from < bytes.length; row++) {
    let end = bytes.indexOf(lf, from);
    if (end < 0) end = bytes.length;
    let start = from;
    from = end + 1;
    while (start < end && isSpace(bytes[start])) start++;
    if (start === end) continue;
    if (end - start > longestRow) yield { row, wrong: TOO_LONG };
    else if (bytes[start] !== brace) yield { row, wrong: startsLikeNull(bytes, start) ? { reason: "no file_name" } : BAD };
    else yield { row, ...contentOf(bytes.subarray(start, end)) };
  }
}

function contentOf(line: Uint8Array): Omit<Row, "row"> {
  const json = textOf(line);
  if (json === undefined) return { wrong: { reason: NOT_UTF8 } };
  const value = parsed(json);
  if (value === undefined) return { wrong: BAD };
  const { file_name: name, text, caption = text } = value;
  const label = Object.keys(value).find(isLabelColumn);
  const unread = label === undefined ? {} : { unread: `its ${label}` };
  if (typeof name !== "string") return { wrong: { reason: "no file_name" }, ...unread };
  if (caption === undefined || typeof caption === "string") return { name, text: caption, ...unread };
  return { wrong: { reason: "a text is not a string", detail: () => `the text for "${displayName(name)}" is not a string` }, ...unread };
}

/** A JSON object; undefined where it is none. */
export function parsed(json: string): { [key: string]: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return value !== null && typeof value === "object" && !Array.isArray(value) ? (value as { [key: string]: unknown }) : undefined;
  } catch {
    return undefined;
  }
}

function isSpace(byte: number | undefined): boolean {
  return byte === space || byte === tab || byte === cr;
}

const NULL = Buffer.from("null");

/** The one valid line of JSON without an object that programs really write. */
function startsLikeNull(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === NULL[0] && NULL.equals(bytes.subarray(at, at + 4));
}
