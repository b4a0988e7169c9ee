/** The points of a curve, as they are measured. */
import type { Settings } from "../../schemas/settings.ts";
import type { CurvePlan, CurvePoint, StudentPoint } from "./curve.ts";
import type { Evaluation } from "./evaluation.ts";
import { figure, type Measures, type Summary } from "./measures.ts";

/** A model with what was measured of it already, which is not sampled again. */
interface Measured {
  path: string;
  measures: readonly Measures[];
}

/**
 * Measures the Fréchet distance of a student at each number of `calls`, then that of its teacher by each plan, and yields all points so
 * far after each. Without a teacher there are the student's alone.
 */
export async function* measureCurve(options: {
  evaluation: Pick<Evaluation, "measure">;
  student: Measured;
  calls: readonly number[];
  teacher?: Measured | undefined;
  plans: readonly CurvePlan[];
  settings: Settings;
}): AsyncGenerator<{ points: CurvePoint[]; calls: StudentPoint[] }> {
  const { evaluation, student, teacher, plans, settings } = options;
  const [points, calls]: [CurvePoint[], StudentPoint[]] = [[], []];
  const measure = (asked: { path: string; steps?: number; simulate?: Pick<CurvePlan, "solver" | "steps"> }): Promise<Measures> =>
    evaluation.measure({ name: "curve", only: "distance", ...asked });

  for (const steps of options.calls) {
    const found = student.measures.find(({ evaluations }) => evaluations === steps);
    calls.push({ evaluations: steps, distance: distanceOf(found ?? (await measure({ path: student.path, steps }))) });
    yield { points, calls };
  }
  for (const plan of teacher ? plans : []) {
    const { path, measures } = teacher as Measured;
    const { solver, steps } = plan;
    const isOwn = settings.simulate.solver === solver;
    const found = isOwn ? measures.find(({ evaluations }) => evaluations === plan.evaluations) : undefined;
    points.push({ ...plan, distance: distanceOf(found ?? (await measure({ path, simulate: { solver, steps } }))) });
    yield { points, calls };
  }
}

const distanceOf = (measures: Measures): Summary => figure(measures, "frechetDistance") as Summary;
