/** FOLDER/study.md, FOLDER/study.svg and FOLDER/study.json: what a study says so far. */
import { join } from "node:path";
import { barChart } from "../picture/bars.ts";
import { lineChart } from "../picture/chart.ts";
import type { Markup } from "../picture/markup.ts";
import { writeAtomic } from "../../store/places/atomic.ts";
import { summarise } from "../evaluate/measures.ts";
import { valuesOf } from "./compare.ts";
import { courseInWords, recallChart, recallCourses } from "./over-training.ts";
import { machine } from "../doctor/machine.ts";
import { distancesAt, resultsOf } from "./rows.ts";
import { type Findings, samplesOf, studyText } from "./summary.ts";

const CHART = "study.svg";
const CALLS_CHART = "calls.svg";
const RECALL = "recall.svg";

/**
 * Writes all three, with FOLDER/calls.svg of a study at several numbers of calls and FOLDER/recall.svg where the runs
 * measured recall on their way, once there is a result; answers the path of the text. The JSON holds everything that the
 * text is made of, each run's figures by seed, the command line as it was typed and the machine.
 */
export async function writeReport(
  options: Findings & { folder: string; facts: Record<string, number | string>; command?: string },
): Promise<string> {
  const { folder, facts, command, ...findings } = options;
  const path = join(folder, "study.md");
  if (findings.results.length === 0) return path;
  const { study, results, baselines } = findings;
  const bars = samplesOf(findings).map((sample) => {
    const { mean, spread = 0 } = summarise(valuesOf(sample));
    return { name: sample.name, y: mean, ...(spread > 0 && { low: mean - spread, high: mean + spread }) };
  });
  if (baselines) bars.push({ name: "(teacher)", y: baselines.teacher.frechetDistance.mean });
  const { costs } = findings;
  const courses = await recallCourses(folder, findings);
  const record = {
    format: "onestep-study",
    version: 1,
    command,
    machine: machine(),
    facts,
    study,
    baselines,
    results,
    ...(study.calls && { costs }),
    ...(courses.length > 0 && { recall: courses }),
  };
  await writeAtomic(join(folder, CHART), String(barChart({ title: titleOf(study), y: { label: "Fréchet distance" }, bars })));
  await writeAtomic(join(folder, "study.json"), `${JSON.stringify(record, null, 2)}\n`);
  const charts = [{ file: CHART, about: "Fréchet distance of each variant" }];
  const calls = callsChart(findings);
  if (calls) {
    await writeAtomic(join(folder, CALLS_CHART), String(calls));
    charts.push({ file: CALLS_CHART, about: "Fréchet distance against network calls" });
  }
  if (courses.length > 0) {
    await writeAtomic(join(folder, RECALL), String(recallChart(courses)));
    charts.push({ file: RECALL, about: "Recall of each variant over training" });
  }
  await writeAtomic(path, studyText({ ...findings, facts, charts, more: courses.map(courseInWords) }));
  return path;
}

const titleOf = ({ name, about }: Findings["study"]): string => `Study "${name}": ${about}`;

/** The distance of each variant at each number of calls that its students were made for, mean over seeds; undefined without any. */
export function callsChart({ study, results, baselines }: Findings): Markup | undefined {
  const series = study.variants.flatMap(({ name }) => {
    const runs = resultsOf(name, results);
    const points = (study.calls ?? []).flatMap((count) => {
      const found = distancesAt(runs, count).map(({ mean }) => mean);
      return found.length === 0 ? [] : [{ x: count, y: summarise(found).mean }];
    });
    return points.length === 0 ? [] : [{ name, points }];
  });
  if (series.length === 0) return undefined;
  return lineChart({
    title: titleOf(study),
    x: { label: "network calls an image (NFE)", log: true, ticks: study.calls ?? [] },
    y: { label: "Fréchet distance", log: true },
    series,
    lines: baselines ? [{ name: "the teacher", y: baselines.teacher.frechetDistance.mean }] : [],
  });
}
