import { displayName } from "../../../schemas/visible.ts";
import { isLabelColumn, longestRow, type Row, TOO_LONG, type Wrong } from "./rows.ts";
import { NOT_UTF8, textOf } from "./text.ts";

/** A record of a CSV file: its fields, or what is wrong with it. */
export interface Record {
  row: number;
  fields: string[];
  wrong?: Wrong;
}

const [quote, comma, lf, cr] = [0x22, 0x2c, 0x0a, 0x0d];

/** The rows of captions in a CSV file with a head: columns file_name and text (or caption). */
export function* csvRows(bytes: Uint8Array): Generator<Row> {
  let head: { width: number; name: number; text: number; label?: string } | undefined;
  for (const { row, fields, wrong } of csvRecords(bytes)) {
    if (wrong) yield { row, wrong };
    else if (!head) {
      const columns = fields.map((column) => column.trim().toLowerCase());
      const text = columns.includes("text") ? columns.indexOf("text") : columns.indexOf("caption");
      head = { width: fields.length, name: columns.indexOf("file_name"), text, label: columns.find(isLabelColumn) };
      if (head.name >= 0 && text >= 0) continue;
      const found = () => `the columns file_name and text (or caption) are needed, found: ${displayName(columns.join(", "))}`;
      return yield { row, wrong: { reason: "the columns file_name and text (or caption) are needed", detail: found } };
    } else if (fields.length !== head.width) {
      yield { row, wrong: wrongWidth(fields.length, head.width) };
    } else yield { row, name: fields[head.name], text: fields[head.text], ...(head.label && { unread: `the column ${head.label}` }) };
    if (wrong && !head) return; // nobody knows the columns
  }
}

function wrongWidth(found: number, expected: number): Wrong {
  const fields = (count: number) => `${count} ${count === 1 ? "field" : "fields"}`;
  const remedy = found > expected ? ': put a text with commas between "quotes"' : "";
  return {
    reason: `${found > expected ? "more" : "fewer"} fields than the head has`,
    detail: () => `${fields(found)} where the head has ${expected}${remedy}`,
  };
}

/**
 * The records of a CSV file (RFC 4180), head and all: quoted fields may hold commas, doubled quotes and line breaks; lines end
 * in LF, CRLF or CR; blank lines count and say nothing. A quote inside an unquoted field is taken as it stands. After a
 * quote that is not closed reading goes on in the next line. One record is in memory at a time.
 */
export function* csvRecords(bytes: Uint8Array): Generator<Record> {
  let from = 0;
  for (let row = 1; from < bytes.length; row++) {
    const { end, isOpen } = recordEnd(bytes, from);
    const start = from;
    from = bytes[end] === cr && bytes[end + 1] === lf ? end + 2 : end + 1;
    if (end === start) continue;
    if (isOpen) {
      yield { row, fields: [], wrong: { reason: 'a quote is not closed, or text follows the closing one: write a quote in a text as ""' } };
    } else if (end - start > longestRow) yield { row, fields: [], wrong: TOO_LONG };
    else {
      const text = textOf(bytes.subarray(start, end));
      yield text === undefined ? { row, fields: [], wrong: { reason: NOT_UTF8 } } : { row, fields: fieldsOf(text) };
    }
  }
}

/** Where the record from `from` on ends; where a quote in it is open, where its first line does. */
function recordEnd(bytes: Uint8Array, from: number): { end: number; isOpen?: boolean } {
  let at = from;
  for (;;) {
    if (bytes[at] === quote) {
      at = closing(bytes, at + 1, from + longestRow);
      if (at < 0 || (at < bytes.length && bytes[at] !== comma && !isEnd(bytes[at]))) return { end: lineEnd(bytes, from), isOpen: true };
    } else while (at < bytes.length && bytes[at] !== comma && !isEnd(bytes[at])) at++;
    if (bytes[at] !== comma) return { end: at };
    at++;
  }
}

/** One past the quote that closes a field; -1 where none does before `limit`. */
function closing(bytes: Uint8Array, from: number, limit: number): number {
  let at = from;
  for (;;) {
    at = bytes.indexOf(quote, at);
    if (at < 0 || at > limit) return -1;
    if (bytes[at + 1] !== quote) return at + 1;
    at += 2;
  }
}

function lineEnd(bytes: Uint8Array, from: number): number {
  let at = from;
  while (at < bytes.length && !isEnd(bytes[at])) at++;
  return at;
}

function isEnd(byte: number | undefined): boolean {
  return byte === lf || byte === cr;
}

/** The fields of one sound record. */
function fieldsOf(record: string): string[] {
  const fields: string[] = [];
  let at = 0;
  while (at <= record.length) {
    let end = at;
    if (record[at] === '"') {
      end++;
      while (record[end] !== '"' || record[end + 1] === '"') end += record[end] === '"' ? 2 : 1;
      end++;
      fields.push(record.slice(at + 1, end - 1).replaceAll('""', '"'));
    } else {
      end = record.indexOf(",", at);
      if (end < 0) end = record.length;
      fields.push(record.slice(at, end));
    }
    at = end + 1;
  }
  return fields;
}
