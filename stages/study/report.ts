/** FOLDER/study.md, FOLDER/study.svg and FOLDER/study.json: what a study says so far. */
import { join } from "node:path";
import { barChart } from "../picture/chart.ts";
import { writeAtomic } from "../../store/atomic.ts";
import { summarise } from "../evaluate/measures.ts";
import { valuesOf } from "./compare.ts";
import { type Course, courseInWords, recallChart, recallCourses } from "./over-training.ts";
import { machine } from "../doctor/machine.ts";
import { type Findings, samplesOf, studyText } from "./summary.ts";

const CHART = "study.svg";
const RECALL = "recall.svg";

/**
 * Writes all three, and FOLDER/recall.svg where the runs measured recall on their way, once there is a result; answers the path of the text. The JSON holds everything that the text is made
 * of, each run's figures by seed, the command line as it was typed and the machine.
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
  const title = `Study "${study.name}": ${study.about}`;
  const courses = await recallCourses(folder, findings);
  const record = {
    ...{ format: "onestep-study", version: 1, command, machine: machine(), facts, study, baselines, results },
    ...(courses.length > 0 && { recall: courses }),
  };
  if (courses.length > 0) await writeAtomic(join(folder, RECALL), String(recallChart(courses)));
  await writeAtomic(join(folder, CHART), String(barChart({ title, y: { label: "Fréchet distance" }, bars })));
  await writeAtomic(join(folder, "study.json"), `${JSON.stringify(record, null, 2)}\n`);
  await writeAtomic(path, studyText({ ...findings, facts, chart: CHART }) + recallText(courses));
  return path;
}

/** What is added to the text where recall was measured over training. */
function recallText(courses: readonly Course[]): string {
  if (courses.length === 0) return "";
  return ["", `![Recall of each variant over training](${RECALL})`, "", ...courses.map((course) => `- ${courseInWords(course)}`), ""].join(
    "\n",
  );
}
