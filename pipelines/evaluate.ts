/**
 * pipeline evaluate --model RUN [--teacher RUN] --reference PATH [--out FILE.json]
 *
 * noise and conditions | images of each model | features | distances to real images, in one table
 */
import { obeyed } from "../data/scenes/read.ts";
import type { Context } from "../schemas/events.ts";
import { badUsage } from "../schemas/failure.ts";
import type { Settings } from "../schemas/settings.ts";
import { load } from "../stages/doctor/machine.ts";
import { type CurvePlan, type CurvePoint, drawCurve, planCurve } from "../stages/evaluate/curve.ts";
import { type Evaluation, openEvaluation } from "../stages/evaluate/evaluation.ts";
import { measureFigures, measureTable, speedTable } from "../stages/evaluate/lines.ts";
import { figure, type Measures } from "../stages/evaluate/measures.ts";
import { paintNeighbours } from "../stages/evaluate/neighbours.ts";
import { writeRecord } from "../stages/evaluate/record.ts";
import { measureSpeed } from "../stages/evaluate/speed.ts";
import { writeAtomic } from "../store/atomic.ts";

/**
 * Measures `evaluate.count` images of a model, and of its teacher where given, against the reference, generated under
 * the conditions of its images in turn, from the same noise. Beside them a floor (half of the reference against the other
 * half) and a ceiling (decoded noise). Reports an event for each figure, at last a table of all, and answers them.
 *
 * `out` is a JSON file of everything; `curve` lists evaluations at which to measure the teacher, drawn as an SVG beside
 * it; `neighbours` is a PNG of samples above the images nearest to them. Throws a Failure when the images are too few for
 * the feature network or not of the model's size, and, before anything is measured, where the request is wrong or the
 * reference has a class that a model lacks: classes meet by name.
 */
export async function evaluate(options: {
  model: string;
  teacher?: string;
  reference: string;
  out?: string;
  curve?: string;
  neighbours?: string;
  /** The command line, for the file. */
  command?: string;
  settings: Settings;
  context: Context;
}): Promise<Measures[]> {
  const { model, teacher, out, command, settings, context } = options;
  const { report } = context;
  const plans = options.curve === undefined ? [] : planCurve(options.curve);
  if (plans.length > 0 && (teacher === undefined || out === undefined)) {
    throw badUsage("Cannot draw a curve without a teacher and a place for it: add --teacher RUN and --out FILE.json");
  }
  const began = { load: load() };
  const models = teacher === undefined ? [model] : [model, teacher];
  const evaluation = await openEvaluation({ reference: options.reference, models, captionReader: obeyed, settings, context });
  const measured: Measures[] = [];
  const more: Record<string, unknown> = {};

  /** Keeps what was found, in the file too: a later part that fails takes nothing with it. */
  async function record(): Promise<void> {
    if (out !== undefined) await writeRecord({ path: out, command, ...began, settings, evaluation, measures: measured, more });
  }

  async function conclude(measures: Measures): Promise<Measures> {
    for (const event of measureFigures(measures)) report(event);
    measured.push(measures);
    await record();
    return measures;
  }

  try {
    const floor = await evaluation.floor();
    if (floor) await conclude(floor);
    else report({ type: "note", stage: "evaluate", message: noFloor(evaluation) });
    await conclude(await evaluation.ceiling(model));
    const own = await conclude(await evaluation.measure({ name: "model", path: model }));
    if (options.neighbours !== undefined) {
      const found = await evaluation.neighbours({ name: "model", path: model, count: 32 });
      await paintNeighbours({ path: options.neighbours, ...found, images: evaluation.images() });
      report({ type: "note", stage: "evaluate", message: `Samples above their nearest images: ${options.neighbours}` });
    }
    const theirs = teacher === undefined ? undefined : await conclude(await evaluation.measure({ name: "teacher", path: teacher }));
    if (theirs) {
      const subject = `${own.subject}, against the ${theirs.subject}`;
      await conclude(await evaluation.against({ name: "model", other: "teacher", subject }));
    }
    if (theirs && teacher !== undefined && out !== undefined && plans.length > 0) {
      const points: CurvePoint[] = [];
      for (const plan of plans) {
        points.push({ ...plan, distance: await curveDistance({ plan, teacher, theirs, evaluation, settings }) });
        more.curve = points;
        await record();
        const student = measured.find(({ role }) => role === "student");
        await writeAtomic(out.replace(/(\.json)?$/, "-curve.svg"), drawCurve({ points, ...(student && { student }) }));
      }
    }
    if (settings.evaluate.speed) {
      const models = { [own.subject]: model, ...(theirs && teacher !== undefined && { [theirs.subject]: teacher }) };
      await evaluation.rest();
      const speed = await measureSpeed({ models, settings, context });
      more.speed = speed;
      await record();
      report(speedTable(speed));
    }
    report(measureTable(measured));
    return measured;
  } finally {
    await evaluation.close();
  }
}

/** The teacher's distance by a plan; what was measured of it already is not sampled again. */
async function curveDistance(options: { plan: CurvePlan; teacher: string; theirs: Measures; evaluation: Evaluation; settings: Settings }) {
  const { plan, teacher, theirs, evaluation, settings } = options;
  const { solver, steps } = plan;
  const isMeasured = settings.simulate.solver === solver && theirs.evaluations === plan.evaluations;
  const measures = isMeasured
    ? theirs
    : await evaluation.measure({ name: "curve", path: teacher, simulate: { solver, steps }, only: "distance" });
  return figure(measures, "frechetDistance")!;
}

function noFloor({ network, reference }: Evaluation): string {
  return `no floor: half of ${reference.count} images is not more than the ${network.dimension} features of ${network.name}`;
}
