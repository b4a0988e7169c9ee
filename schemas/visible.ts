/** Text from outside (names, captions, reasons) as people may see it: nothing in it can move a cursor, colour or reorder a line. */

/**
 * What nobody sees: controls, format characters (direction, zero width), unassigned, lone halves of a pair, line and
 * paragraph separators. The first two alternatives are left as they are, since Persian, Indic scripts and emoji are
 * written with them: joiners between their letters or emoji, and the tags that make the flag of a part of a country.
 * Emoji younger than this Node are unassigned to it and pass too.
 */
const hidden = new RegExp(
  [
    "\\u{1f3f4}[\\u{e0030}-\\u{e0039}\\u{e0061}-\\u{e007a}]{4,6}\\u{e007f}",
    "(?<=[\\p{Lo}\\p{M}\\p{EMod}\\p{ExtPict}])[\\u200c\\u200d](?=[\\p{Lo}\\p{M}\\p{ExtPict}])",
    "(?!\\p{ExtPict})([\\p{C}\\p{Zl}\\p{Zp}])",
  ].join("|"),
  "gu",
);

/**
 * The text with each hidden character as `\u{...}`; where it is longer than `limit` characters, its start and "…". What
 * is visible already stays as it is, so that it does no harm to do it twice.
 */
export function visible(text: string, limit = Infinity): string {
  const shown = replaced(text, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
  return shortened(shown, limit);
}

/** The text where it has at most `limit` characters, else its start and "…", without half of a pair at its end. */
export function shortened(text: string, limit: number): string {
  return text.length > limit ? `${text.slice(0, limit - 1).replace(/[\ud800-\udbff]$/, "")}…` : text;
}

/** As `visible`, but that line feeds part lines: for text that was made here of several lines. */
export function visibleLines(text: string): string {
  return text.split("\n").map(visibleLine).join("\n");
}

/** A file's or entry's name for people: as `visible`, backslashes doubled, at most 200 characters. */
export function displayName(name: string): string {
  return visible(name.replaceAll("\\", "\\\\"), 200);
}

/** A value as one line of JSON in which every hidden character is written as `\uXXXX`: it says the same to every reader. */
export function visibleJson(value: unknown): string {
  return replaced(JSON.stringify(value), (character) =>
    Array.from({ length: character.length }, (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`).join(""),
  );
}

const visibleLine = (line: string): string => visible(line);

function replaced(text: string, escape: (character: string) => string): string {
  return text.replace(hidden, (whole: string, character: string | undefined) => (character === undefined ? whole : escape(character)));
}
