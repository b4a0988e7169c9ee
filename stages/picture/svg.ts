/** What every SVG has: coordinates and words. */
import { type Markup, markup } from "./markup.ts";

/** A coordinate in pixels, to a tenth. */
export const coordinate = (value: number): string => String(Math.round(value * 10) / 10);

/** A `text` element whose words start, are centred or end at (`x`, `y`) in pixels, `y` being the baseline; `more` is further attributes. */
export function svgText(
  x: number,
  y: number,
  words: string,
  { anchor = "start", more }: { anchor?: "start" | "middle" | "end"; more?: Markup } = {},
): Markup {
  const anchored = anchor === "start" ? undefined : markup` text-anchor="${anchor}"`;
  return markup`<text x="${coordinate(x)}" y="${coordinate(y)}"${anchored}${more && markup` ${more}`}>${words}</text>`;
}
