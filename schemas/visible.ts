/** Text from outside (names, captions, reasons) as people may see it: nothing in it can move a cursor, colour or reorder a line. */

const invisible = /[\p{C}\p{Zl}\p{Zp}]/gu; // control, format (direction, zero width), unassigned, line and paragraph separators

/** The text with each invisible character as `\u{...}`; where it is longer than `limit` characters, its start and "…". */
export function visible(text: string, limit = Infinity): string {
  const shown = text.replace(invisible, (c) => `\\u{${c.codePointAt(0)?.toString(16)}}`);
  return shown.length > limit ? `${shown.slice(0, limit - 1)}…` : shown;
}

/** A file's or entry's name for people: as `visible`, backslashes doubled, at most 200 characters. */
export function displayName(name: string): string {
  return visible(name.replaceAll("\\", "\\\\"), 200);
}
