/** The charts of a training's history. */
import { type ChartPoint, lineChart } from "../picture/chart.ts";
import { type Line, namesOf, type Value, valuesOf } from "./history.ts";

interface Group {
  title: string;
  /** Of the upright axis. */
  label: string;
  /** Figures by name, with the words of the legend. */
  figures: Record<string, string>;
  log?: boolean;
}

const GROUPS: readonly Group[] = [
  { title: "Loss", label: "loss", figures: { loss: "loss" } },
  {
    title: "Terms of the loss, unweighted",
    label: "loss",
    figures: { perceptual: "perceptual", pixel: "pixel", adversarial: "adversarial" },
    log: true,
  },
  { title: "Discriminator's logits", label: "mean logit", figures: { d_real: "real", d_fake: "generated", d_mismatched: "mismatched" } },
  { title: "Discriminator's loss", label: "loss", figures: { d_loss: "loss" } },
  { title: "Discriminator's accuracy", label: "share of right verdicts", figures: { d_accuracy: "accuracy" } },
  { title: "Gradient norms before clipping", label: "norm", figures: { norm: "network", d_norm: "discriminator" }, log: true },
  { title: "R1 penalty", label: "squared gradient", figures: { r1: "R1" }, log: true },
  { title: "Diversity of the samples", label: "spread over that of real images", figures: { diversity: "diversity" } },
];

/** Points of a line at most: more are averaged, with their range as a band. */
const POINTS = 240;

/** Every figure of the history as charts by step: those known by name together, each of the others alone. */
export function historyCharts(history: readonly Line[]): string[] {
  const names = namesOf(history).filter((name) => name !== "distance");
  const known = new Set(GROUPS.flatMap(({ figures }) => Object.keys(figures)));
  const others = names.filter((name) => !known.has(name)).map((name) => ({ title: name, label: name, figures: { [name]: name } }));
  return [...GROUPS, ...others].flatMap(({ title, label, figures, log }: Group) => {
    const series = Object.entries(figures)
      .filter(([name]) => names.includes(name))
      .map(([name, words]) => ({ name: words, points: thinned(valuesOf(history, name)) }));
    return series.length === 0 ? [] : [lineChart({ title, x: { label: "steps" }, y: { label, log }, series })];
  });
}

/** The online distance against images seen (steps times batch); undefined before the first. */
export function distanceChart(history: readonly Line[], batch: number): string | undefined {
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
    const numbers = part.map(({ value }) => value);
    return { x: part.at(-1)!.step, y, ...(every > 1 && { low: Math.min(...numbers), high: Math.max(...numbers) }) };
  });
}
