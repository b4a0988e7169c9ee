/** The methods beside each other in a table that fits a README: distances in times the teacher's. */
import { findingsOf, type StudyRecord } from "../../../stages/study/record.ts";
import { summarise } from "../../../stages/evaluate/measures.ts";
import { distancesAt, resultsOf } from "../../../stages/study/rows.ts";
import { tableRows } from "../../../stages/study/summary.ts";
import { digits } from "./numbers.ts";

/** A row a method that has results, then its teacher's; throws an error where the teacher was not measured. */
export function rowsBesideTeacher(record: StudyRecord): Record<string, string>[] {
  const findings = findingsOf(record);
  const { study, results, baselines } = findings;
  if (!baselines) throw new Error("Cannot compare methods with a teacher that was not measured");
  const { teacher, evaluations } = baselines;
  const whole = Object.fromEntries(tableRows(findings).map((row) => [row.method, row]));
  const kept = ["recall", "trained parameters", "needs", "training"];
  const rows = study.variants.map(({ name }) => resultsOf(name, results)).filter((runs) => runs.length > 0);
  return [
    ...rows.map((runs) => {
      const name = runs[0]!.variant;
      const distances = (study.calls ?? []).map((calls) => {
        const means = distancesAt(runs, calls).map(({ mean }) => mean);
        return [headOf(calls), means.length === 0 ? "" : digits(summarise(means).mean / teacher.frechetDistance.mean, 3)];
      });
      const others = kept.map((key) => [key, String(whole[name]?.[key] ?? "").replace(/ of \d+$/, "")]);
      return Object.fromEntries([["method", `\`${name}\``], ...distances, ...others]);
    }),
    { method: `the teacher in ${evaluations} calls`, [headOf(1)]: "1", recall: digits(teacher.recall?.mean ?? 0, 4) },
  ];
}

const headOf = (calls: number): string => (calls === 1 ? "1 call" : `${calls} calls`);
