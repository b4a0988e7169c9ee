/** FOLDER/study.md and FOLDER/study.svg: what a study says so far. */
import { join } from "node:path";
import { barChart } from "../picture/chart.ts";
import { writeAtomic } from "../../store/atomic.ts";
import { summarise } from "../evaluate/measures.ts";
import { valuesOf } from "./compare.ts";
import { type Findings, samplesOf, studyText } from "./summary.ts";

const CHART = "study.svg";

/** Writes both, once there is a result; answers the path of the text. */
export async function writeReport(options: Findings & { folder: string; facts: Record<string, number | string> }): Promise<string> {
  const { folder, facts, ...findings } = options;
  const path = join(folder, "study.md");
  if (findings.results.length === 0) return path;
  const { study, baselines } = findings;
  const bars = samplesOf(findings).map((sample) => {
    const { mean, spread = 0 } = summarise(valuesOf(sample));
    return { name: sample.name, y: mean, ...(spread > 0 && { low: mean - spread, high: mean + spread }) };
  });
  if (baselines) bars.push({ name: "(teacher)", y: baselines.teacher.frechetDistance.mean });
  const title = `Study "${study.name}": ${study.about}`;
  await writeAtomic(join(folder, CHART), barChart({ title, y: { label: "Fréchet distance" }, bars }));
  await writeAtomic(path, studyText({ ...findings, facts, chart: CHART }));
  return path;
}
