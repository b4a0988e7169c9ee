/** A teacher's distance against its network evaluations, with a student's beside it, at every number that it was made for. */
import { badUsage } from "../../schemas/failure.ts";
import { allowedSteps } from "../../models/diffusion/sampler-plan.ts";
import type { DenoiserDescription } from "../../schemas/model.ts";
import type { SimulateSettings } from "../../schemas/settings.ts";
import { type ChartPoint, lineChart } from "../picture/chart.ts";
import { figure, type Measures, type Summary } from "./measures.ts";

/** How to spend a number of evaluations. */
export type CurvePlan = Pick<SimulateSettings, "solver" | "steps"> & { evaluations: number };

export interface CurvePoint extends CurvePlan {
  distance: Summary;
}

/**
 * Plans from a list as in "2,4,8,16,35". Heun's solver takes odd numbers of evaluations only, 2 n - 1 for n steps; an even
 * number goes to DPM-Solver++(2M), which takes one a step. Throws a Failure (exit code 2) where it is no such list.
 */
export function planCurve(list: string): CurvePlan[] {
  const numbers = list.split(",").map(Number);
  if (!numbers.every((n) => Number.isInteger(n) && n > 0)) {
    throw badUsage(`Cannot draw a curve over "${list}": give whole numbers of evaluations above 0, as in --curve 2,4,8,16,35`);
  }
  return [...new Set(numbers)]
    .sort((a, b) => a - b)
    .map((evaluations) => {
      const isOdd = evaluations % 2 === 1;
      return { evaluations, solver: isOdd ? "heun" : "dpm++2m", steps: isOdd ? (evaluations + 1) / 2 : evaluations };
    });
}

/** A student's distance at a number of network calls. */
export interface StudentPoint {
  evaluations: number;
  distance: Summary;
}

/**
 * The numbers of network calls at which a curve shows a model: all that a student was made for, where it was made for several,
 * and those of the curve where it can be asked for any. None of a teacher, whose curve the plans are.
 */
export function studentCalls(model: Pick<DenoiserDescription, "role" | "sampler">, plans: readonly CurvePlan[]): number[] {
  if (model.role !== "student") return [];
  const allowed = allowedSteps(model);
  if (allowed === "any") return plans.map(({ evaluations }) => evaluations);
  return allowed.length > 1 ? allowed : [];
}

/** The curve as an SVG document: a series a solver, the student as one more or as a point, and a line across. */
export function drawCurve(options: { points: readonly CurvePoint[]; student?: Measures; calls?: readonly StudentPoint[] }): string {
  const { points, student, calls = [] } = options;
  const names = [...new Set(points.map(({ solver }) => solver))];
  const own = student && figure(student, "frechetDistance");
  const at = ({ evaluations, distance: { mean, spread } }: StudentPoint): ChartPoint => ({
    x: evaluations,
    y: mean,
    ...(spread !== undefined && { low: mean - spread, high: mean + spread }),
  });
  const ofStudent = calls.length > 0 || !own ? calls : [{ evaluations: student.evaluations ?? 1, distance: own }];
  const chart = lineChart({
    title: "Fréchet distance against network evaluations an image",
    x: { label: "network evaluations an image", log: true },
    y: { label: "Fréchet distance", log: true },
    series: [
      ...names.map((name) => ({ name: `teacher, ${name}`, points: points.filter(({ solver }) => solver === name).map(at) })),
      ...(ofStudent.length > 0 ? [{ name: "student", points: ofStudent.map(at) }] : []),
    ],
    ...(own && { lines: [{ name: student.subject, y: own.mean }] }),
  });
  return String(chart);
}
