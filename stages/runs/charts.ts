/** The charts of a training's history. */
import { type ChartPoint, lineChart } from "../picture/chart.ts";
import type { Markup } from "../picture/markup.ts";
import { type FigureGroup, type Line, namesOf, type Value, valuesOf } from "../../schemas/figures.ts";

/** Figures that every training has. */
const COMMON: readonly FigureGroup[] = [
  { title: "Loss", label: "loss", figures: { loss: "loss" } },
  { title: "Gradient norm before clipping", label: "norm", figures: { norm: "norm" }, log: true },
  { title: "Precision and recall of the samples", label: "share", figures: { precision: "precision", recall: "recall" } },
  { title: "Diversity of the samples", label: "spread over that of real images", figures: { diversity: "diversity" } },
];

const DISTANCE = "Online Fréchet distance";

/** Points of a line at most: more are averaged, with their range as a band. */
const POINTS = 240;

/** Every figure of the history as charts by step: those of a group together, each of the others alone. */
export function historyCharts(history: readonly Line[], groups: readonly FigureGroup[]): Markup[] {
  return groupsIn(history, groups).map(({ title, label, figures, log }) => {
    const series = Object.entries(figures).map(([name, words]) => ({ name: words, points: thinned(valuesOf(history, name)) }));
    return lineChart({ title, x: { label: "steps" }, y: { label, log }, series });
  });
}

/** The groups of which the history has figures, with those alone; each that belongs to none, but the distance, is a group of its own. */
function groupsIn(history: readonly Line[], groups: readonly FigureGroup[]): FigureGroup[] {
  const names = namesOf(history).filter((name) => name !== "distance");
  const grouped = [...COMMON, ...groups];
  const known = new Set(grouped.flatMap(({ figures }) => Object.keys(figures)));
  const others = names.filter((name) => !known.has(name)).map((name) => ({ title: name, label: name, figures: { [name]: name } }));
  return [...grouped, ...others].flatMap((group) => {
    const figures = Object.entries(group.figures).filter(([name]) => names.includes(name));
    return figures.length === 0 ? [] : [{ ...group, figures: Object.fromEntries(figures) }];
  });
}

/** The latest value of every figure under the title of its chart, with the words of the legend where a chart has several. */
export function latestFigures(
  history: readonly Line[],
  groups: readonly FigureGroup[],
): { title: string; values: { words: string; value: number }[] }[] {
  const latest = (name: string): number => history.findLast((line) => name in line)?.[name] as number;
  const distance = history.some((line) => "distance" in line) ? [{ title: DISTANCE, label: "", figures: { distance: "" } }] : [];
  return [...distance, ...groupsIn(history, groups)].map(({ title, figures }) => {
    const names = Object.entries(figures);
    return { title, values: names.map(([name, words]) => ({ words: names.length > 1 ? words : "", value: latest(name) })) };
  });
}

/** The online distance against images seen (steps times batch); undefined before the first. */
export function distanceChart(history: readonly Line[], batch: number): Markup | undefined {
  const values = valuesOf(history, "distance");
  if (values.length === 0) return undefined;
  const least = values.reduce((a, b) => (b.value < a.value ? b : a));
  return lineChart({
    title: DISTANCE,
    x: { label: "images seen" },
    y: { label: "Fréchet distance, small sample", log: true },
    series: [{ name: "distance", points: values.map(({ step, value }) => ({ x: step * batch, y: value })) }],
    lines: [{ name: `least, step ${least.step}`, y: least.value }],
  });
}

function thinned(values: readonly Value[]): ChartPoint[] {
  const every = Math.ceil(values.length / POINTS);
  return Array.from({ length: Math.ceil(values.length / every) }, (_, i) => {
    const part = values.slice(i * every, (i + 1) * every);
    const y = part.reduce((sum, { value }) => sum + value, 0) / part.length;
    const [low, high] = part.reduce(([least, most], { value }) => [Math.min(least, value), Math.max(most, value)], [y, y]);
    return { x: part.at(-1)!.step, y, ...(every > 1 && { low, high }) };
  });
}
