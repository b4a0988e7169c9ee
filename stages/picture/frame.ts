/** What every chart has: its size and colours, a title, names beside their marks, an upright axis. */
import { shortened } from "../../schemas/visible.ts";
import { type Markup, markup } from "./markup.ts";
import { coordinate as n, svgText as text } from "./svg.ts";
import type { Axis } from "./ticks.ts";

const [width, height] = [720, 420];
/** The ends of the axes in pixels. */
export const [left, right, floor] = [72, 700, 366];
export const ink = "#747c86"; // contrast of 4:1 on white and on #0d1117
export const faint = markup`stroke="${ink}" stroke-opacity="0.3"`;
export const colours = ["#2f81d8", "#d1701a", "#2f9e5b", "#c2529b", "#8f6fd6", "#a08410", "#cf4b45", "#1d96a3"];
export const bold = markup`font-weight="600"`;
export const FONT_SIZE = 12;
/** Mean width of a letter over its font size, at most, in the fonts that readers have. */
export const [LETTER, LETTER_BOLD] = [0.61, 0.64];

export interface AxisWords {
  label: string;
  /** Logarithmic: values that are not positive are left out. */
  log?: boolean;
  /** Values to label instead of those that the axis would choose: counts that a reader looks for. */
  ticks?: readonly number[];
}

/** The y of a value on an upright axis that ends at `top`. */
export const placing =
  ({ at }: Axis, top: number) =>
  (value: number): number =>
    floor - at(value) * (floor - top);

/** Whether an axis has a place for a value. */
export const shown = (value: number, log = false): boolean => Number.isFinite(value) && (!log || value > 0);

/** The whole document under a title that `titleOf` made. */
export function chartOf({ title, content }: { title: Title; content: Parameters<typeof markup>[1] }): Markup {
  const style = markup`font-family="system-ui, -apple-system, 'Segoe UI', sans-serif" font-size="${FONT_SIZE}" fill="${ink}"`;
  const size = markup`viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"`;
  const about = markup`role="img" aria-label="${title.words}"`;
  return markup`<svg xmlns="http://www.w3.org/2000/svg" ${size} ${about} ${style}>${title.content}${content}</svg>\n`;
}

interface Title {
  words: string;
  content: Markup[];
  bottom: number;
}

/** A title in one line of 13 to 15 px or in two like lines, smaller only where two do not hold it; words stand 26 px under `bottom`. */
export function titleOf(words: string): Title {
  const fitting = Math.floor((right - left) / (13 * LETTER_BOLD));
  const halves = Array.from({ length: fitting }, (_, i) => Math.ceil(words.length / 2) + i);
  const letters = words.length <= fitting ? fitting : (halves.find((most) => broken(words, most).length <= 2) ?? 2 * fitting);
  const lines = broken(words, letters)
    .slice(0, 2)
    .map((line) => shortened(line, 2 * fitting));
  const longest = Math.max(1, ...lines.map(({ length }) => length));
  const size = Math.min(15, (right - left) / (longest * LETTER_BOLD));
  const content = lines.map((line, i) => text(left, 24 + 18 * i, line, { more: markup`font-size="${n(size - 0.05)}" ${bold}` }));
  return { words, content, bottom: 24 + 18 * Math.max(0, lines.length - 1) };
}

/** Names beside marks that are 14 px wide, drawn by `mark(x, y)` from their left end, in as many rows as they need below `top`. */
export function legend(
  entries: readonly { name: string; mark: (x: number, y: number) => Markup }[],
  top: number,
): { content: Markup[]; bottom: number } {
  let [x, y] = [left, top + 26];
  const content = entries.map(({ name, mark }) => {
    const wide = 19 + name.length * FONT_SIZE * LETTER;
    if (x > left && x + wide > right) [x, y] = [left, y + 18];
    const entry = markup`${mark(x, y - 6)}${text(x + 19, y - 2, name)}`;
    x += wide + 10;
    return entry;
  });
  return { content, bottom: entries.length > 0 ? y : top + 16 };
}

/** The upright axis: a line across at every tick, and what it measures, written along it. */
export function uprightAxis({ axis, place, words }: { axis: Axis; place: (value: number) => number; words: AxisWords }): Markup {
  const lines = axis.ticks.map((tick) => {
    const at = n(place(tick));
    const label = text(left - 8, place(tick) + 4, numbered(tick), { anchor: "end" });
    return markup`<line x1="${left}" x2="${right}" y1="${at}" y2="${at}" ${faint}/>${label}`;
  });
  const middle = (floor + 52) / 2;
  const label = text(16, middle, words.label, { anchor: "middle", more: markup`transform="rotate(-90 16 ${middle})"` });
  return markup`${lines}<line x1="${left}" x2="${right}" y1="${floor}" y2="${floor}" stroke="${ink}"/>${label}`;
}

/** A bar from `low` to `high`, in pixels, with a cap at both ends. */
export function errorBar({ x, low, high, colour }: { x: number; low: number; high: number; colour: string }): Markup {
  const cap = (y: number) => `M${n(x - 5)} ${n(y)}H${n(x + 5)}`;
  return markup`<path d="M${n(x)} ${n(low)}V${n(high)}${cap(low)}${cap(high)}" fill="none" stroke="${colour}" stroke-width="1.5"/>`;
}

/** Words in lines of so many letters, broken after spaces and hyphens; a longer word has a longer line. */
export function broken(words: string, letters: number): string[] {
  const lines: string[] = [];
  for (const piece of words.split(/(?<=[ -])/)) {
    const last = lines.at(-1);
    if (last !== undefined && (last + piece).trimEnd().length <= letters) lines[lines.length - 1] = last + piece;
    else lines.push(piece);
  }
  return lines.map((line) => line.trimEnd());
}

/** Three digits, thousands as k and millions as M. */
export function numbered(value: number): string {
  const size = Math.abs(value);
  const [scaled, unit] = size >= 1e6 ? [value / 1e6, "M"] : size >= 1e4 ? [value / 1e3, "k"] : [value, ""];
  if (size > 0 && size < 1e-3) return value.toExponential(1).replace(".0", "").replace("-", "\u2212");
  return `${Number(scaled.toPrecision(size >= 1e3 && size < 1e4 ? 4 : 3))}${unit}`.replace("-", "\u2212");
}
