/**
 * Charts of lines as self-contained SVG: for files, for the README and inside pages. Every colour is of middling lightness
 * on a transparent ground, so that one picture is legible on a light and on a dark page; series differ in shape too.
 */
import { numberInWords } from "../../schemas/words.ts";
import * as frame from "./frame.ts";
import type { AxisWords } from "./frame.ts";
import { type Box, clearBox, type Drawn, type Stroke } from "./labels.ts";
import { type Markup, markup } from "./markup.ts";
import { coordinate as n, svgText as text } from "./svg.ts";
import { axisOf } from "./ticks.ts";

/** A value with the ends of its error bar, where it has one. */
export interface ChartPoint {
  x: number;
  y: number;
  low?: number;
  high?: number;
}

interface Compared {
  name: string;
  y: number;
}

/** A point in pixels, y downwards: `low` and `high` are the ends of its error bar. */
type Placed = Required<ChartPoint>;

const { left, right, floor, ink, colours, FONT_SIZE, LETTER } = frame;
/** The line of a series: as many colours as an eye tells apart, then the same again in dashes. */
const strokeOf = (i: number): Markup =>
  markup`stroke="${colours[i % colours.length]}"${i < colours.length ? undefined : markup` stroke-dasharray="5 3"`}`;
const dashed = markup`stroke="${ink}" stroke-width="1.5" stroke-dasharray="6 4"`;
/** Points of a series up to which each has a mark and an error bar of its own; more make a line in a band. */
const FEW = 40;

/**
 * Series of points joined by lines, in the order given; `lines` are values to compare with, drawn across and named where
 * nothing else is drawn, in the legend where there is no such place. Points and lines that are not finite, or not positive
 * on a logarithmic axis, are left out. Answers an SVG document.
 */
export function lineChart(options: {
  title: string;
  x: AxisWords;
  y: AxisWords;
  series: readonly { name: string; points: readonly ChartPoint[] }[];
  lines?: readonly Compared[];
}): Markup {
  const { x, y } = options;
  const series = options.series.map(({ name, points }) => ({
    name,
    points: points.filter((point) => frame.shown(point.x, x.log) && frame.shown(point.y, y.log)).map((point) => bounded(point, y.log)),
  }));
  const lines = (options.lines ?? []).filter((line) => frame.shown(line.y, y.log));
  const all = series.flatMap(({ points }) => points);
  const across = axisOf(
    all.map((point) => point.x),
    { log: x.log, tight: true },
  );
  const upright = axisOf([...all.flatMap((point) => [point.y, point.low, point.high]), ...lines.map((line) => line.y)], { log: y.log });
  const placeX = (value: number) => left + 8 + across.at(value) * (right - left - 16);
  const ofSeries = series.length > 1 ? series.map(({ name }, i) => ({ name, mark: seriesMark(i) })) : [];
  const title = frame.titleOf(options.title);

  /** Everything under a legend that names these lines too; a line that finds no clear place joins them. */
  const drawnWith = (inLegend: readonly Compared[]): Parameters<typeof markup>[1] => {
    const named = frame.legend([...ofSeries, ...inLegend.map((line) => ({ name: lineWords(line), mark: lineMark }))], title.bottom);
    const top = named.bottom + 12;
    const placeY = frame.placing(upright, top);
    const placed = series.map(({ points }) => points.map((point) => placedBy(point, placeX, placeY)));
    const labels = placeLabels(
      lines.filter((line) => !inLegend.includes(line)),
      {
        drawn: drawnBy(
          placed,
          lines.map((line) => placeY(line.y)),
        ),
        grid: upright.ticks.map(placeY),
        placeY,
        top,
      },
    );
    const homeless = labels.filter(({ box }) => box === undefined).map(({ line }) => line);
    if (homeless.length > 0) return drawnWith([...inLegend, ...homeless]);
    const ruled = lines.map((line) => {
      const at = n(placeY(line.y));
      return markup`<line x1="${left}" x2="${right}" y1="${at}" y2="${at}" ${dashed}/>`;
    });
    const words = labels.map(({ line, box }) => box && text(box.right, box.baseline, lineWords(line), { anchor: "end" }));
    const none = all.length === 0 ? text((left + right) / 2, (top + floor) / 2, "no values yet", { anchor: "middle" }) : undefined;
    const drawn = placed.map((points, i) => drawSeries(points, series[i]?.points ?? [], i, (x) => asideOf(placed, i, x)));
    return [named.content, frame.uprightAxis({ axis: upright, place: placeY, words: y }), ruled, drawn, words, none];
  };
  const ticks = (x.ticks?.filter((tick) => across.at(tick) >= 0 && across.at(tick) <= 1) ?? across.ticks).map((tick) => {
    const at = n(placeX(tick));
    const mark = markup`<line x1="${at}" x2="${at}" y1="${floor}" y2="${floor + 5}" ${frame.faint}/>`;
    return [mark, text(placeX(tick), floor + 18, frame.numbered(tick), { anchor: "middle" })];
  });
  const label = text((left + right) / 2, floor + 40, x.label, { anchor: "middle" });
  return frame.chartOf({ title, content: [drawnWith([]), ...ticks, label] });
}

const lineWords = ({ name, y }: Compared): string => `${name}: ${numberInWords(y)}`;

/** A box for the words of each line, just above or below it and as far right as it goes; no box where all are taken. */
function placeLabels(
  lines: readonly Compared[],
  { drawn, grid, placeY, top }: { drawn: Drawn; grid: readonly number[]; placeY: (value: number) => number; top: number },
): { line: Compared; box: (Box & { baseline: number }) | undefined }[] {
  const ruled = grid.map((y): Stroke => [left, y, right, y]);
  const area = { left: left + 4, right: right - 4, top: top - 10, bottom: floor - 1 };
  const boxes = [...drawn.boxes];
  return lines.map((line) => {
    const wide = lineWords(line).length * FONT_SIZE * LETTER;
    const ends = Array.from({ length: Math.max(1, Math.floor((area.right - area.left - wide) / 8) + 1) }, (_, i) => area.right - 8 * i);
    const candidates = ends.flatMap((end) =>
      [placeY(line.y) - 5, placeY(line.y) + 15].map((baseline) => ({
        left: end - wide,
        right: end,
        top: baseline - 13,
        bottom: baseline + 4,
        baseline,
      })),
    );
    const box =
      clearBox(candidates, { strokes: [...drawn.strokes, ...ruled], boxes }, area) ?? clearBox(candidates, { ...drawn, boxes }, area);
    if (box) boxes.push(box);
    return { line, box };
  });
}

/** What series and compared lines cover: their strokes, and the marks of their points. */
function drawnBy(series: readonly (readonly Placed[])[], ruled: readonly number[]): Drawn {
  const joined = series.flatMap((points) => points.slice(1).map((point, i): Stroke => [points[i]!.x, points[i]!.y, point.x, point.y]));
  const spread = series.flatMap((points) => points.filter(({ low, high }) => low > high));
  const upright = spread.map(({ x, low, high }): Stroke => [x, low, x, high]);
  const around = ({ x, y }: Placed, by: number): Box => ({ left: x - by, right: x + by, top: y - by, bottom: y + by });
  return {
    strokes: [...joined, ...upright, ...ruled.map((y): Stroke => [left, y, right, y])],
    boxes: [
      ...series.flatMap((points) => points.map((point) => around(point, points.length <= FEW ? 5 : 2))),
      ...spread.flatMap((point) => [point.low, point.high].map((y) => around({ ...point, y }, 6))),
    ],
  };
}

/** How far the error bar of a series at `x` stands beside its point, so that none hides that of another series. */
function asideOf(series: readonly (readonly Placed[])[], of: number, x: number): number {
  const here = [...series.keys()].filter((i) => series[i]?.some((point) => Math.abs(point.x - x) < 1 && point.low > point.high));
  return (here.indexOf(of) - (here.length - 1) / 2) * (12 / Math.max(3, here.length));
}

/** One series: a band or error bars, the line, and a mark a point where there are few; `asideOfBar` moves its error bars. */
function drawSeries(points: readonly Placed[], values: readonly ChartPoint[], series: number, asideOfBar: (x: number) => number): Markup {
  const at = (x: number, y: number) => `${n(x)},${n(y)}`;
  const colour = colours[series % colours.length] as string;
  const few = points.length <= FEW;
  const spread = points.some(({ low, high }) => low > high);
  const edge = [...points.map(({ x, high }) => at(x, high)), ...points.map(({ x, low }) => at(x, low)).reverse()];
  const band = spread && !few ? markup`<polygon points="${edge.join(" ")}" fill="${colour}" fill-opacity="0.2"/>` : undefined;
  const path = points.map(({ x, y }) => at(x, y)).join(" ");
  const line = markup`<polyline points="${path}" fill="none" ${strokeOf(series)} stroke-width="2" stroke-linejoin="round"/>`;
  const marks = points.map(({ x, y, low, high }, i) => {
    const bar = low > high ? frame.errorBar({ x: x + asideOfBar(x), low, high, colour }) : undefined;
    const value = values[i] as ChartPoint;
    return markup`${bar}${shape(series, x, y, markup`<title>${numberInWords(value.x)}: ${numberInWords(value.y)}</title>`)}`;
  });
  return markup`${band}${points.length > 1 ? line : undefined}${few ? marks : undefined}`;
}

/** Outlines of marks about (0, 0) after the circle: square, triangle, rhombus, triangle on its head. Five, since colours are eight. */
const SHAPES = ["M-3-3h6v6h-6z", "M0-4L3.8 3h-7.6z", "M0-4.5L4 0 0 4.5-4 0z", "M0 4L3.8-3h-7.6z"];

/** The mark of a series' points, in its colour: no two of forty series have both in common. */
function shape(series: number, x: number, y: number, words?: Markup): Markup {
  const fill = markup`fill="${colours[series % colours.length]}"`;
  const outline = SHAPES[(series % (SHAPES.length + 1)) - 1];
  if (outline === undefined) return markup`<circle cx="${n(x)}" cy="${n(y)}" r="3" ${fill}>${words}</circle>`;
  return markup`<path d="${outline}" transform="translate(${n(x)} ${n(y)})" ${fill}>${words}</path>`;
}

const seriesMark =
  (i: number) =>
  (x: number, y: number): Markup =>
    markup`<path d="M${n(x)} ${n(y)}h14" ${strokeOf(i)} stroke-width="2"/>${shape(i, x + 7, y)}`;
const lineMark = (x: number, y: number): Markup => markup`<path d="M${n(x)} ${n(y)}h14" ${dashed}/>`;

/** A point whose error bar has both ends, within what the axis can show. */
function bounded({ x, y, low = y, high = y }: ChartPoint, log = false): Required<ChartPoint> {
  return { x, y, low: frame.shown(low, log) ? low : y, high: frame.shown(high, log) ? high : y };
}

const placedBy = (point: Required<ChartPoint>, placeX: (x: number) => number, placeY: (y: number) => number): Placed => ({
  x: placeX(point.x),
  y: placeY(point.y),
  low: placeY(point.low),
  high: placeY(point.high),
});
