/** Charts of the records: drawn of the files again by the code that drew them first, so that none is older than what draws. */
import { frequencyCharts } from "../../../stages/study/frequency/report.ts";
import { recallChart } from "../../../stages/study/over-training.ts";
import { findingsOf } from "../../../stages/study/record.ts";
import { callsChart } from "../../../stages/study/report.ts";
import type { Records } from "./records.ts";

/** What `<!-- chart FILE.json KIND "words" -->` asks for. */
export interface ChartMark {
  file: string;
  kind: string;
  words: string;
}

const form = /^(\S+\.json) (\S+) "(.+)"$/;

/** Reads the rest of such a mark. Throws an error that names it where it is none. */
export function chartMark(rest: string): ChartMark {
  const [, file, kind, words] = form.exec(rest) ?? [];
  if (file === undefined || kind === undefined || words === undefined) {
    throw new Error(`Cannot read "${rest}" in a mark: expected FILE.json KIND "words"`);
  }
  return { file, kind, words };
}

/** The marks of charts in a template. */
export const chartMarks = (template: string): ChartMark[] =>
  [...template.matchAll(/<!-- chart (.+?) -->/g)].map(([, rest]) => chartMark(rest as string));

/** The name of a chart's file, beside its record. */
export const chartFile = ({ file, kind }: ChartMark): string => `${file.replace(/\.json$/, "")}.${kind}.svg`;

/** The chart as SVG. Throws an error that names the kinds there are where the record has no such chart. */
export function drawChart({ file, kind }: ChartMark, records: Records): string {
  const record = records.read(file);
  const charts: Record<string, () => string> = {};
  if (record.format === "onestep-study") {
    const calls = callsChart(findingsOf(record));
    if (calls) charts.calls = () => String(calls);
    const { recall } = record;
    if (recall) charts.recall = () => String(recallChart(recall));
  }
  if (record.format === "onestep-frequency") {
    for (const [name, chart] of Object.entries(frequencyCharts(record.networks)))
      charts[name.slice("frequency-".length, -".svg".length)] = () => chart;
  }
  const draw = charts[kind];
  if (!draw) throw new Error(`Cannot draw "${kind}" of ${file}: it has ${Object.keys(charts).join(", ") || "no charts"}`);
  return draw();
}
