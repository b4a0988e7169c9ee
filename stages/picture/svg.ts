/** Words inside SVG and HTML: the one place where they are escaped and where an SVG `text` element is written. */

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/**
 * Any value as words that may stand in the content or in a quoted attribute of XML and HTML. XML 1.0 allows no control
 * character but tab, line feed and carriage return: each other one becomes a space.
 */
export function escaped(words: unknown): string {
  return String(words)
    .replace(/[^\P{Cc}\t\n\r]/gu, " ")
    .replace(/[&<>"']/g, (letter) => entities[letter]!);
}

/** A coordinate in pixels, to a tenth. */
export const coordinate = (value: number): string => String(Math.round(value * 10) / 10);

/** A `text` element whose words start, are centred or end at (`x`, `y`) in pixels, `y` being the baseline; `more` is further attributes. */
export function svgText(
  x: number,
  y: number,
  words: string,
  { anchor = "start", more = "" }: { anchor?: "start" | "middle" | "end"; more?: string } = {},
): string {
  const anchored = anchor === "start" ? "" : ` text-anchor="${anchor}"`;
  return `<text x="${coordinate(x)}" y="${coordinate(y)}"${anchored}${more && ` ${more}`}>${escaped(words)}</text>`;
}
