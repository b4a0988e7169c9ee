/** The report's pictures of numbers, as inline SVG; colours come from the page's style. */
import { numberInWords } from "../../../schemas/words.ts";
import type { Statistics } from "../../../store/records/statistics.ts";
import { type Markup, markup } from "../../picture/markup.ts";
import { coordinate as n, svgText as text } from "../../picture/svg.ts";
import { evenTicks } from "../../picture/ticks.ts";
import type { Histogram } from "../spread.ts";
import type { ShardFacts } from "../ends.ts";

/** Numbers to three digits. */
export const short = (value: number): string => numberInWords(Number(value.toPrecision(3))).replace("-", "\u2212");

const wideness = 900; // of a chart across the page

/** How often each value comes, as columns; `curve` draws the unit normal over them. */
export function histogramChart(options: { title: string; histogram: Histogram; mean: number; std: number; curve?: boolean }): Markup {
  const { title, histogram, mean, std, curve } = options;
  const { from, to, counts } = histogram;
  const [width, height, floor] = [240, 92, 76];
  const total = counts.reduce((sum, count) => sum + count, 0);
  const most = Math.max(1, ...counts);
  const step = width / counts.length;
  const columns = counts.map((count, i) => {
    const tall = (count / most) * (floor - 4);
    return count === 0
      ? undefined
      : markup`<rect class="bar" x="${n(i * step)}" y="${n(floor - tall)}" width="${n(step - 0.5)}" height="${n(tall)}"/>`;
  });
  const density = (x: number) => (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) * ((to - from) / counts.length) * total;
  const points = Array.from({ length: 61 }, (_, i) => {
    const x = from + (i / 60) * (to - from);
    return `${n((i / 60) * width)},${n(floor - Math.min(1.05, density(x) / most) * (floor - 4))}`;
  });
  const ticks = [from, (from + to) / 2, to].map((value, i) =>
    text((i * width) / 2, 90, short(value), { anchor: (["start", "middle", "end"] as const)[i]! }),
  );
  const drawn = [columns, curve ? markup`<polyline class="curve" points="${points.join(" ")}"/>` : undefined];
  const axis = markup`<line class="axis" x1="0" x2="${width}" y1="${floor}" y2="${floor}"/>`;
  const words = `${title}: mean ${short(mean)}, std ${short(std)}`;
  return figure({
    caption: markup`<b>${title}</b> mean ${short(mean)}, std ${short(std)}`,
    svg: svg(width, height, words, [drawn, axis, ticks]),
  });
}

/** Every channel's range: a thin line from least to largest, a bar of one standard deviation to either side, a dot at the mean. */
export function channelChart({ mean, std, min, max }: Statistics): Markup {
  const [width, height, left] = [wideness, 180, 40];
  const [low, high] = rangeOf(min, max);
  const y = scale(low, high, 164, 8);
  const step = (width - left) / mean.length;
  const thick = Math.min(18, step * 0.6);
  const marks = mean.map((centre, c) => {
    const x = left + (c + 0.5) * step;
    const [top, bottom] = [y(Math.min(high, centre + std[c]!)), y(Math.max(low, centre - std[c]!))];
    return [
      markup`<line class="whisker" x1="${n(x)}" x2="${n(x)}" y1="${n(y(min[c]!))}" y2="${n(y(max[c]!))}"/>`,
      markup`<rect class="bar" x="${n(x - thick / 2)}" y="${n(top)}" width="${n(thick)}" height="${n(Math.max(1, bottom - top))}"/>`,
      markup`<circle class="dot" cx="${n(x)}" cy="${n(y(centre))}" r="3"/>`,
      mean.length <= 32 || c % 8 === 0 ? text(x, 178, String(c), { anchor: "middle" }) : undefined,
    ];
  });
  const caption = markup`<b>Latent channels</b> dot: mean; bar: one standard deviation to either side; line: least to largest value`;
  return figure({
    caption,
    wide: true,
    svg: svg(width, height, "Range of each latent channel", [grid(low, high, y, left, width), marks]),
  });
}

/** Mean and spread of the latents, shard by shard: a drift shows as a slope. */
export function driftChart(shards: readonly ShardFacts[]): Markup | undefined {
  const seen = shards.filter(({ state, rows }) => state === "sound" && rows > 0);
  if (seen.length < 2) return undefined;
  const every = Math.ceil(seen.length / 400);
  const shown = seen.filter((_, i) => i % every === 0);
  const [width, height, left] = [wideness, 150, 40];
  const [low, high] = rangeOf(
    shown.map(({ mean, std }) => mean - std),
    shown.map(({ mean, std }) => mean + std),
  );
  const y = scale(low, high, 130, 8);
  const x = (i: number) => left + 8 + (i / Math.max(1, shown.length - 1)) * (width - left - 16);
  const upper = shown.map(({ mean, std }, i) => `${n(x(i))},${n(y(mean + std))}`);
  const lower = shown.map(({ mean, std }, i) => `${n(x(i))},${n(y(mean - std))}`).reverse();
  const line = shown.map(({ mean }, i) => `${n(x(i))},${n(y(mean))}`).join(" ");
  const last = text(width - 8, 146, `shard ${shown.at(-1)!.shard}`, { anchor: "end" });
  const first = text(left + 8, 146, `shard ${shown[0]!.shard}`);
  const band = markup`<polygon class="band" points="${[...upper, ...lower].join(" ")}"/>`;
  const drawn = [band, grid(low, high, y, left, width), markup`<polyline class="line" points="${line}"/>`];
  return figure({
    caption: markup`<b>Shard by shard</b> mean of the latents, and one standard deviation to either side`,
    wide: true,
    svg: svg(width, height, "Latent mean and spread by shard", [drawn, first, last]),
  });
}

/** Lines and labels at round values. */
function grid(low: number, high: number, y: (value: number) => number, left: number, width: number): Markup[] {
  const lines = evenTicks(low, high > low ? high : low + 1).map((value) => {
    const label = text(left - 5, y(value) + 3.5, short(value), { anchor: "end" });
    return markup`<line class="axis" x1="${left}" x2="${width}" y1="${n(y(value))}" y2="${n(y(value))}"/>${label}`;
  });
  return lines;
}

/** The least and the largest of values that are finite; 0 and 1 where none is. */
function rangeOf(low: readonly number[], high: readonly number[]): [number, number] {
  const least = low.filter(Number.isFinite).reduce((a, b) => Math.min(a, b), Infinity);
  const most = high.filter(Number.isFinite).reduce((a, b) => Math.max(a, b), -Infinity);
  return least <= most ? [least, most] : [0, 1];
}

function scale(low: number, high: number, bottom: number, top: number): (value: number) => number {
  const span = high > low ? high - low : 1;
  return (value) => bottom - ((value - low) / span) * (bottom - top);
}

function figure({ caption, svg, wide = false }: { caption: Markup; svg: Markup; wide?: boolean }): Markup {
  const [kind, reachable] = wide ? [markup` class="wide"`, markup` tabindex="0"`] : []; // a wide one scrolls, also by keyboard
  return markup`<figure${kind}><figcaption>${caption}</figcaption><div class="plot"${reachable}>${svg}</div></figure>`;
}

function svg(width: number, height: number, words: string, content: Parameters<typeof markup>[1]): Markup {
  return markup`<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${words}">${content}</svg>`;
}
