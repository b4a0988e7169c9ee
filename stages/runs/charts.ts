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

/** Points of a line at most: more are averaged, with their range as a band. */
const POINTS = 240;

/** Every figure of the history as charts by step: those of a group together, each of the others alone. */
export function historyCharts(history: readonly Line[], groups: readonly FigureGroup[]): Markup[] {
  const names = namesOf(history).filter((name) => name !== "distance");
  const grouped = [...COMMON, ...groups];
  const known = new Set(grouped.flatMap(({ figures }) => Object.keys(figures)));
  const others = names.filter((name) => !known.has(name)).map((name) => ({ title: name, label: name, figures: { [name]: name } }));
  return [...grouped, ...others].flatMap(({ title, label, figures, log }: FigureGroup) => {
    const series = Object.entries(figures)
      .filter(([name]) => names.includes(name))
      .map(([name, words]) => ({ name: words, points: thinned(valuesOf(history, name)) }));
    return series.length === 0 ? [] : [lineChart({ title, x: { label: "steps" }, y: { label, log }, series })];
  });
}

/** The online distance against images seen (steps times batch); undefined before the first. */
export function distanceChart(history: readonly Line[], batch: number): Markup | undefined {
  const values = valuesOf(history, "distance");
  if (values.length === 0) return undefined;
  const least = values.reduce((a, b) => (b.value < a.value ? b : a));
  return lineChart({
    title: "Online Fréchet distance",
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
