/**
 * Charts as self-contained SVG: for files, for the README and inside pages. Every colour is of middling lightness on a
 * transparent ground, so that one picture is legible on a light and on a dark page.
 */
import { numberInWords } from "../../schemas/words.ts";
import { shortened } from "../../schemas/visible.ts";
import { type Markup, markup } from "./markup.ts";
import { coordinate as n, svgText as text } from "./svg.ts";
import { type Axis, axisOf } from "./ticks.ts";

/** A value with the ends of its error bar, where it has one. */
export interface ChartPoint {
  x: number;
  y: number;
  low?: number;
  high?: number;
}

interface AxisWords {
  label: string;
  /** Logarithmic: values that are not positive are left out. */
  log?: boolean;
  /** Values to label instead of those that the axis would choose: counts that a reader looks for. */
  ticks?: readonly number[];
}

const [width, height] = [720, 420];
const [left, right, floor] = [72, 700, 366];
const ink = "#747c86"; // contrast of 4:1 on white and on #0d1117
const faint = markup`stroke="${ink}" stroke-opacity="0.3"`;
const colours = ["#2f81d8", "#d1701a", "#2f9e5b", "#c2529b", "#8f6fd6", "#a08410", "#cf4b45", "#1d96a3"];
/** The line of a series: as many colours as an eye tells apart, then the same again in dashes. */
const strokeOf = (i: number): Markup =>
  markup`stroke="${colours[i % colours.length]}"${i < colours.length ? undefined : markup` stroke-dasharray="5 3"`}`;
const bold = markup`font-weight="600"`;
const FONT_SIZE = 12;
/** Mean width of a letter over its font size, at most, in the fonts that readers have. */
const [LETTER, LETTER_BOLD] = [0.61, 0.64];
/** Points of a series up to which each has a dot and an error bar of its own; more make a line in a band. */
const FEW = 40;

/**
 * Series of points joined by lines, in the order given; `lines` are values to compare with, drawn across. Points and
 * lines that are not finite, or not positive on a logarithmic axis, are left out. Answers an SVG document.
 */
export function lineChart(options: {
  title: string;
  x: AxisWords;
  y: AxisWords;
  series: readonly { name: string; points: readonly ChartPoint[] }[];
  lines?: readonly { name: string; y: number }[];
}): Markup {
  const { title, x, y } = options;
  const series = options.series.map(({ name, points }) => ({
    name,
    points: points.filter((point) => shown(point.x, x.log) && shown(point.y, y.log)).map((point) => bounded(point, y.log)),
  }));
  const lines = (options.lines ?? []).filter((line) => shown(line.y, y.log));
  const all = series.flatMap(({ points }) => points);
  const across = axisOf(
    all.map((point) => point.x),
    { log: x.log, tight: true },
  );
  const upright = axisOf([...all.flatMap((point) => [point.y, point.low, point.high]), ...lines.map((line) => line.y)], { log: y.log });
  const named = legend(series.length > 1 ? series.map(({ name }) => name) : []);
  const top = named.bottom + 12;
  const place = { x: (value: number) => left + 8 + across.at(value) * (right - left - 16), y: placing(upright, top) };

  const drawn = series.map(({ points }, i) => drawSeries(points, i, place));
  const compared = lines.map((line) => {
    const at = n(place.y(line.y));
    const words = text(right - 4, place.y(line.y) - 5, `${line.name}: ${numberInWords(line.y)}`, { anchor: "end" });
    const dashed = markup`stroke="${ink}" stroke-width="1.5" stroke-dasharray="6 4"`;
    return markup`<line x1="${left}" x2="${right}" y1="${at}" y2="${at}" ${dashed}/>${words}`;
  });
  const ticks = (x.ticks?.filter((tick) => across.at(tick) >= 0 && across.at(tick) <= 1) ?? across.ticks).map((tick) => {
    const mark = markup`<line x1="${n(place.x(tick))}" x2="${n(place.x(tick))}" y1="${floor}" y2="${floor + 5}" ${faint}/>`;
    return [mark, text(place.x(tick), floor + 18, numbered(tick), { anchor: "middle" })];
  });
  const none = all.length === 0 ? text((left + right) / 2, (top + floor) / 2, "no values yet", { anchor: "middle" }) : undefined;
  const axes = [
    grid({ axis: upright, place: place.y, words: y }),
    ...ticks,
    text((left + right) / 2, floor + 40, x.label, { anchor: "middle" }),
  ];
  return svg({ title, content: [named.content, ...axes, ...compared, ...drawn, none] });
}

/** A bar a name, in the order given, with its value above it and its error bar over it. Answers an SVG document. */
export function barChart(options: {
  title: string;
  y: AxisWords;
  bars: readonly { name: string; y: number; low?: number; high?: number }[];
}): Markup {
  const { title, y } = options;
  const bars = options.bars.filter((bar) => shown(bar.y, y.log)).map((bar) => ({ name: bar.name, ...bounded({ x: 0, ...bar }, y.log) }));
  const axis = axisOf(
    bars.flatMap(({ y, low, high }) => [y, low, high]),
    { log: y.log, fromZero: true },
  );
  const top = 52;
  const placed = placing(axis, top);
  const step = (right - left) / Math.max(1, bars.length);
  const thick = Math.min(64, step * 0.66);
  const zero = y.log ? floor : placed(0);
  const drawn = bars.map(({ name, y: value, low, high }, i) => {
    const x = left + (i + 0.5) * step;
    const at = placed(value);
    const box = markup`y="${n(Math.min(at, zero))}" height="${n(Math.max(1, Math.abs(zero - at)))}"`;
    const column = markup`<rect x="${n(x - thick / 2)}" width="${n(thick)}" ${box} fill="${colours[0]}" fill-opacity="0.8"/>`;
    const whisker = low < high ? errorBar({ x, low: placed(low), high: placed(high), colour: ink }) : undefined;
    const figure = text(x, Math.min(at, placed(high)) - 6, numbered(value), { anchor: "middle", more: bold });
    const words = broken(name, Math.max(6, Math.floor(step / (FONT_SIZE * LETTER)))).map((line, k) =>
      text(x, floor + 16 + 13 * k, line, { anchor: "middle" }),
    );
    return markup`<g><title>${name}: ${numberInWords(value)}</title>${column}${whisker}${figure}${words}</g>`;
  });
  return svg({ title, content: [grid({ axis, place: placed, words: y }), ...drawn] });
}

/** One series: a band or error bars, the line, and a dot a point where there are few. */
function drawSeries(
  points: readonly Required<ChartPoint>[],
  series: number,
  place: { x: (value: number) => number; y: (value: number) => number },
): Markup {
  const at = (x: number, y: number) => `${n(place.x(x))},${n(place.y(y))}`;
  const colour = colours[series % colours.length] as string;
  const few = points.length <= FEW;
  const spread = points.some(({ low, high }) => low < high);
  const edge = [...points.map(({ x, high }) => at(x, high)), ...points.map(({ x, low }) => at(x, low)).reverse()];
  const band = spread && !few ? markup`<polygon points="${edge.join(" ")}" fill="${colour}" fill-opacity="0.2"/>` : undefined;
  const path = points.map(({ x, y }) => at(x, y)).join(" ");
  const line = markup`<polyline points="${path}" fill="none" ${strokeOf(series)} stroke-width="2" stroke-linejoin="round"/>`;
  const dots = points.map(({ x, y, low, high }) => {
    const bar = low < high ? errorBar({ x: place.x(x), low: place.y(low), high: place.y(high), colour }) : undefined;
    const words = markup`<title>${numberInWords(x)}: ${numberInWords(y)}</title>`;
    return markup`${bar}<circle cx="${n(place.x(x))}" cy="${n(place.y(y))}" r="3" fill="${colour}">${words}</circle>`;
  });
  return markup`${band}${points.length > 1 ? line : undefined}${few ? dots : undefined}`;
}

function errorBar({ x, low, high, colour }: { x: number; low: number; high: number; colour: string }): Markup {
  const cap = (y: number) => `M${n(x - 5)} ${n(y)}H${n(x + 5)}`;
  return markup`<path d="M${n(x)} ${n(low)}V${n(high)}${cap(low)}${cap(high)}" fill="none" stroke="${colour}" stroke-width="1.5"/>`;
}

/** The upright axis: a line across at every tick, and what it measures, written along it. */
function grid({ axis, place, words }: { axis: Axis; place: (value: number) => number; words: AxisWords }): Markup {
  const lines = axis.ticks.map((tick) => {
    const at = n(place(tick));
    const label = text(left - 8, place(tick) + 4, numbered(tick), { anchor: "end" });
    return markup`<line x1="${left}" x2="${right}" y1="${at}" y2="${at}" ${faint}/>${label}`;
  });
  const middle = (floor + 52) / 2;
  const label = text(16, middle, words.label, { anchor: "middle", more: markup`transform="rotate(-90 16 ${middle})"` });
  return markup`${lines}<line x1="${left}" x2="${right}" y1="${floor}" y2="${floor}" stroke="${ink}"/>${label}`;
}

/** Names beside their colours, in as many rows as they need under the title. */
function legend(names: readonly string[]): { content: Markup[]; bottom: number } {
  let [x, y] = [left, 50];
  const entries = names.map((name, i) => {
    const wide = 26 + name.length * 6.6;
    if (x > left && x + wide > right) [x, y] = [left, y + 18];
    const mark = markup`<path d="M${n(x)} ${y - 6}h14" ${strokeOf(i)} stroke-width="4"/>`;
    const entry = markup`${mark}${text(x + 19, y - 2, name)}`;
    x += wide + 10;
    return entry;
  });
  return { content: entries, bottom: names.length > 0 ? y : 40 };
}

function svg({ title, content }: { title: string; content: Parameters<typeof markup>[1] }): Markup {
  const style = markup`font-family="system-ui, -apple-system, 'Segoe UI', sans-serif" font-size="${FONT_SIZE}" fill="${ink}"`;
  const fitting = (right - left) / (title.length * LETTER_BOLD);
  const heading = text(left, 24, title, { more: markup`font-size="${n(Math.max(8, Math.min(15, fitting)))}" ${bold}` });
  const size = markup`viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"`;
  const about = markup`role="img" aria-label="${title}"`;
  return markup`<svg xmlns="http://www.w3.org/2000/svg" ${size} ${about} ${style}>${heading}${content}</svg>\n`;
}

const placing =
  ({ at }: Axis, top: number) =>
  (value: number): number =>
    floor - at(value) * (floor - top);

const shown = (value: number, log = false): boolean => Number.isFinite(value) && (!log || value > 0);

/** A point whose error bar has both ends, within what the axis can show. */
function bounded({ x, y, low = y, high = y }: ChartPoint, log = false): Required<ChartPoint> {
  return { x, y, low: shown(low, log) ? low : y, high: shown(high, log) ? high : y };
}

/** A name in at most three lines of so many letters, broken after spaces and hyphens. */
function broken(name: string, letters: number): string[] {
  const lines: string[] = [];
  for (const piece of name.split(/(?<=[ -])/)) {
    const last = lines.at(-1);
    if (last !== undefined && (last + piece).trimEnd().length <= letters) lines[lines.length - 1] = last + piece;
    else lines.push(piece);
  }
  const trimmed = lines.slice(0, 3).map((line) => line.trimEnd());
  return trimmed.map((line) => shortened(line, letters + 2));
}

/** Three digits, thousands as k and millions as M. */
function numbered(value: number): string {
  const size = Math.abs(value);
  const [scaled, unit] = size >= 1e6 ? [value / 1e6, "M"] : size >= 1e4 ? [value / 1e3, "k"] : [value, ""];
  if (size > 0 && size < 1e-3) return value.toExponential(1).replace(".0", "").replace("-", "\u2212");
  return `${Number(scaled.toPrecision(size >= 1e3 && size < 1e4 ? 4 : 3))}${unit}`.replace("-", "\u2212");
}
