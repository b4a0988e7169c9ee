/** What became of the samples' recall while a study's students were trained, where their runs measured it (train.distanceRecall). */
import { join } from "node:path";
import * as z from "zod";
import { type Line, valuesOf } from "../../schemas/figures.ts";
import { summarise } from "../evaluate/measures.ts";
import { type ChartPoint, lineChart } from "../picture/chart.ts";
import type { Markup } from "../picture/markup.ts";
import { readHistory } from "../runs/history.ts";
import type { Result } from "./results.ts";
import type { Study } from "./studies.ts";

/** Recall of a variant by step: mean over its seeds, with the least and the most. */
export const courseSchema = z.object({
  name: z.string(),
  points: z.array(z.object({ x: z.number(), y: z.number(), low: z.number().optional(), high: z.number().optional() })),
});
export type Course = z.infer<typeof courseSchema>;

/** The courses of the variants whose runs in `folder` measured recall, in the study's order. */
export async function recallCourses(folder: string, { study, results }: { study: Study; results: readonly Result[] }): Promise<Course[]> {
  const courses = await Promise.all(
    study.variants.map(async ({ name }) => {
      const runs = results.filter(({ variant }) => variant === name);
      const histories = await Promise.all(runs.map(({ run }) => readHistory(join(folder, run, "metrics.jsonl"))));
      return { name, points: pointsOf(histories) };
    }),
  );
  return courses.filter(({ points }) => points.length > 0);
}

/** Steps that every seed was measured at. */
function pointsOf(histories: readonly Line[][]): ChartPoint[] {
  const byRun = histories.map((history) => new Map(valuesOf(history, "recall").map(({ step, value }) => [step, value])));
  const [first = new Map<number, number>(), ...others] = byRun;
  return [...first.keys()].flatMap((step) => {
    const values = [first, ...others].flatMap((run) => run.get(step) ?? []);
    if (values.length < byRun.length) return [];
    const spread = values.length > 1 && { low: Math.min(...values), high: Math.max(...values) };
    return [{ x: step, y: summarise(values).mean, ...spread }];
  });
}

/** The courses as a chart by training step. */
export function recallChart(courses: readonly Course[]): Markup {
  return lineChart({
    title: "Recall over training, mean of the seeds and their range",
    x: { label: "training steps" },
    y: { label: "recall, small sample" },
    series: courses,
  });
}

/** A sentence on each course: where recall was highest, and where it ended. */
export const courseInWords = ({ name, points }: Course): string => {
  const most = points.reduce((a, b) => (b.y > a.y ? b : a));
  const last = points.at(-1) as ChartPoint;
  return `${name}: recall ${last.y.toFixed(2)} at step ${last.x}, after ${most.y.toFixed(2)} at step ${most.x} at most.`;
};
