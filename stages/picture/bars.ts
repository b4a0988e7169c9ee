/** Bars as self-contained SVG, for a light and a dark page alike. */
import { numberInWords } from "../../schemas/words.ts";
import { shortened } from "../../schemas/visible.ts";
import type { AxisWords } from "./frame.ts";
import * as frame from "./frame.ts";
import { type Markup, markup } from "./markup.ts";
import { coordinate as n, svgText as text } from "./svg.ts";
import { axisOf } from "./ticks.ts";

const { left, right, floor, FONT_SIZE, LETTER, LETTER_BOLD } = frame;

/** A bar a name, in the order given, with its value beyond its end and its error bar over it. Answers an SVG document. */
export function barChart(options: {
  title: string;
  y: AxisWords;
  bars: readonly { name: string; y: number; low?: number; high?: number }[];
}): Markup {
  const { y } = options;
  const within = (end: number | undefined, value: number) => (end !== undefined && frame.shown(end, y.log) ? end : value);
  const bars = options.bars
    .filter((bar) => frame.shown(bar.y, y.log))
    .map((bar) => ({ ...bar, low: within(bar.low, bar.y), high: within(bar.high, bar.y) }));
  const axis = axisOf(
    bars.flatMap((bar) => [bar.y, bar.low, bar.high]),
    { log: y.log, fromZero: true },
  );
  const title = frame.titleOf(options.title);
  const placed = frame.placing(axis, title.bottom + 28);
  const step = (right - left) / Math.max(1, bars.length);
  const thick = Math.min(64, step * 0.66);
  const zero = y.log ? floor : placed(0);
  const figures = bars.map(({ y: value }) => frame.numbered(value));
  const longest = figures.reduce((most, { length }) => Math.max(most, length), 1);
  const size = Math.max(7, Math.min(FONT_SIZE, (step - 4) / (longest * LETTER_BOLD)));
  const figureStyle = markup`font-size="${n(size - 0.05)}" ${frame.bold}`;
  const letters = Math.max(6, Math.floor(step / (FONT_SIZE * LETTER)));
  const drawn = bars.map(({ name, y: value, low, high }, i) => {
    const x = left + (i + 0.5) * step;
    const at = placed(value);
    const box = markup`y="${n(Math.min(at, zero))}" height="${n(Math.max(1, Math.abs(zero - at)))}"`;
    const column = markup`<rect x="${n(x - thick / 2)}" width="${n(thick)}" ${box} fill="${frame.colours[0]}" fill-opacity="0.8"/>`;
    const whisker = low < high ? frame.errorBar({ x, low: placed(low), high: placed(high), colour: frame.ink }) : undefined;
    const beyond = value < 0 ? Math.max(at, placed(low)) + 6 + 0.75 * size : Math.min(at, placed(high)) - 6;
    const figure = text(x, beyond, figures[i] as string, { anchor: "middle", more: figureStyle });
    const lines = frame.broken(name, letters).slice(0, 3);
    const words = lines.map((line, k) => text(x, floor + 16 + 13 * k, shortened(line, letters + 2), { anchor: "middle" }));
    return markup`<g><title>${name}: ${numberInWords(value)}</title>${column}${whisker}${figure}${words}</g>`;
  });
  return frame.chartOf({ title, content: [frame.uprightAxis({ axis, place: placed, words: y }), ...drawn] });
}
