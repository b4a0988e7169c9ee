/**
 * pipeline evaluate --model RUN [--steps 1,2,4,8] [--prior RUN] [--teacher RUN] --reference PATH [--out FILE.json]
 *
 * noise and conditions | images of each model | features | distances to real images, in one table
 */
import { obeyed } from "../data/scenes/read.ts";
import type { Context } from "../schemas/events.ts";
import { badUsage } from "../schemas/failure.ts";
import type { Settings } from "../schemas/settings.ts";
import { load } from "../stages/doctor/machine.ts";
import { drawCurve, planCurve, studentCalls } from "../stages/evaluate/curve.ts";
import { measureCurve } from "../stages/evaluate/curve-points.ts";
import { type Evaluation, openEvaluation } from "../stages/evaluate/evaluation.ts";
import { measureFigures, measureTable, speedTable } from "../stages/evaluate/lines.ts";
import type { Measures } from "../stages/evaluate/measures.ts";
import { paintNeighbours } from "../stages/evaluate/neighbours.ts";
import { writeRecord } from "../stages/evaluate/record.ts";
import { measureSpeed } from "../stages/evaluate/speed.ts";
import { planSteps } from "../stages/evaluate/steps.ts";
import { readDenoiser } from "../stages/runs/model.ts";
import { checkPrior } from "../stages/sample/token-source.ts";
import { writeAtomic } from "../store/places/atomic.ts";

/**
 * Measures `evaluate.count` images of a model, and of its teacher where given, against the reference, generated under
 * the conditions of its images in turn, from the same noise. Beside them a floor (half of the reference against the other
 * half) and a ceiling (decoded noise). Reports an event for each figure, at last a table of all, and answers them.
 *
 * `steps` lists numbers of network calls at each of which to measure the model; the first is compared with the teacher.
 * `prior` is the run of `pretrain prior` whose tokens a student by Layton draws. `out` is a JSON file of everything; `curve`
 * lists evaluations at which to measure the teacher, and a student that was made for several numbers at all of those, drawn as
 * an SVG beside it; `neighbours` is a PNG of samples above the images nearest to them. Throws a Failure when the images are too
 * few for the feature network or not of the model's size, and, before anything is measured, where the request is wrong or the
 * reference has a class that a model lacks: classes meet by name.
 */
export async function evaluate(options: {
  model: string;
  prior?: string;
  teacher?: string;
  reference: string;
  out?: string;
  curve?: string;
  steps?: string;
  neighbours?: string;
  /** The command line, for the file. */
  command?: string;
  settings: Settings;
  context: Context;
}): Promise<Measures[]> {
  const { model, prior, teacher, out, command, settings, context } = options;
  const { report } = context;
  checkPrior(await readDenoiser(model), model, prior);
  const { plans, calls, steps } = await asked(options);
  const began = { load: load() };
  const models = teacher === undefined ? [model] : [model, teacher];
  const priors = prior === undefined ? {} : { [model]: prior };
  const evaluation = await openEvaluation({ reference: options.reference, models, priors, captionReader: obeyed, settings, context });
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
    const [first, ...further] = steps;
    const own = await conclude(await evaluation.measure({ name: "model", path: model, steps: first }));
    if (options.neighbours !== undefined) {
      const found = await evaluation.neighbours({ name: "model", path: model, count: 32, steps: first });
      await paintNeighbours({ path: options.neighbours, ...found, images: evaluation.images() });
      report({ type: "note", stage: "evaluate", message: `Samples above their nearest images: ${options.neighbours}` });
    }
    const all = [{ measures: own, steps: first }];
    for (const count of further) {
      const measures = await conclude(await evaluation.measure({ name: "model of more steps", path: model, steps: count }));
      all.push({ measures, steps: count });
    }
    const theirs = teacher === undefined ? undefined : await conclude(await evaluation.measure({ name: "teacher", path: teacher }));
    if (theirs) {
      const subject = `${own.subject}, against the ${theirs.subject}`;
      await conclude(await evaluation.against({ name: "model", other: "teacher", subject }));
    }
    if (out !== undefined && plans.length > 0) {
      const student = { path: model, measures: all.map(({ measures }) => measures) };
      const known = theirs && teacher !== undefined ? { path: teacher, measures: [theirs] } : undefined;
      for await (const found of measureCurve({ evaluation, student, calls, teacher: known, plans, settings })) {
        Object.assign(more, { curve: found.points, ...(calls.length > 0 && { studentCurve: found.calls }) });
        await record();
        const own = measured.find(({ role }) => role === "student");
        await writeAtomic(out.replace(/(\.json)?$/, "-curve.svg"), drawCurve({ ...found, ...(own && { student: own }) }));
      }
    }
    if (settings.evaluate.speed) {
      const own = all.map(({ measures, steps }) => [measures.subject, { path: model, steps, prior }] as const);
      const models = { ...Object.fromEntries(own), ...(theirs && teacher !== undefined && { [theirs.subject]: { path: teacher } }) };
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

/** What a request comes to. Throws a usage failure where it is wrong. */
async function asked({ model, teacher, out, curve, steps: list, settings }: Parameters<typeof evaluate>[0]) {
  const plans = curve === undefined ? [] : planCurve(curve);
  const isOwn = plans.length > 0 || list !== undefined;
  const description = isOwn ? (await readDenoiser(model)).description : undefined;
  const calls = description ? studentCalls(description, plans) : [];
  if (plans.length > 0 && ((teacher === undefined && calls.length === 0) || out === undefined)) {
    throw badUsage("Cannot draw a curve without a teacher and a place for it: add --teacher RUN and --out FILE.json");
  }
  const { simulate } = settings;
  const steps = description && list !== undefined ? planSteps({ list, model: description, name: model, simulate }) : [undefined];
  return { plans, calls, steps };
}

function noFloor({ network, reference }: Evaluation): string {
  return `no floor: half of ${reference.count} images is not more than the ${network.dimension} features of ${network.name}`;
}
