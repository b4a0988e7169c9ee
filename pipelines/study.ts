/**
 * pipeline study NAME --store STORE --teacher RUN --reference LATENTS --out FOLDER [--seeds N] [--only A,B]
 *
 * variants x seeds | train | measure | one table: which part of a method does how much
 */
import { join } from "node:path";
import { obeyed } from "../data/scenes/read.ts";
import type { Context, PipelineEvent } from "../schemas/events.ts";
import { Failure, isFailure } from "../schemas/failure.ts";
import { markFolder } from "../stages/runs/folder.ts";
import { inPlaceOf, type Workplace } from "../stages/runs/mirror.ts";
import { ornaments } from "../stages/runs/ornament.ts";
import { writeSettings } from "../stages/runs/settings-file.ts";
import type { Settings } from "../schemas/settings.ts";
import { durationInWords, numberInWords } from "../schemas/words.ts";
import { type Evaluation, openEvaluation } from "../stages/evaluate/evaluation.ts";
import { allowedSteps } from "../models/diffusion/sampler-plan.ts";
import { summaries } from "../stages/evaluate/measures.ts";
import { readDenoiser } from "../stages/runs/model.ts";
import { measureBaselines, readBaselines } from "../stages/study/baselines.ts";
import { openGround } from "../stages/study/ground.ts";
import { watchMemory } from "../stages/study/memory.ts";
import { neededBy } from "../stages/study/needed.ts";
import { type Job, planStudy, studyNamed } from "../stages/study/plan.ts";
import { writeReport } from "../stages/study/report.ts";
import {
  appendResult,
  appendTime,
  type AtCalls,
  type Figures,
  figuresOf,
  readResults,
  readTimes,
  type Result,
} from "../stages/study/results.ts";
import type { Study } from "../stages/study/studies.ts";
import { type Findings, samplesOf, tableRows, verdict } from "../stages/study/summary.ts";
import { costsOf, secondsLeft, secondsOf } from "../stages/study/times.ts";
import { train } from "./train.ts";

/**
 * Trains every variant of a study with every seed (0 to `seeds - 1`, added to the settings' own) on one store, and measures
 * each student against one reference, the teacher once. All variants of a seed come before the next seed. In `out`:
 * VARIANT/SEED, an ordinary run of `train`; results.jsonl, a line for each that is measured; baselines.json, the teacher's
 * figures and those of real images; study.md, study.svg and study.json, what they say so far; times.jsonl, the seconds.
 *
 * Finished runs are not made again and a stopped one goes on; what was measured otherwise (another reference or `evaluate`
 * settings) is measured anew. A run that fails is named and passed over. Throws a Failure where a finished run was trained
 * with other settings or data, and at the end where runs failed.
 */
export async function study(options: {
  name: string;
  store: string;
  teacher: string;
  reference: string;
  out: string;
  seeds: number;
  /** The variants wanted; all without it. */
  only?: readonly string[];
  /** The command line, for study.json. */
  command?: string;
  settings: Settings;
  context: Context;
  /** The studies there are, where not the built-in ones. */
  studies?: readonly Study[];
}): Promise<Result[]> {
  const { out, context } = options;
  return inPlaceOf({ out, kind: "study", command: "study", context }, (place) => studyIn({ ...options, ...place }));
}

async function studyIn(options: Parameters<typeof study>[0] & Workplace): Promise<Result[]> {
  const { store, teacher, out, push, seeds, only, settings, context } = options;
  const asked = studyNamed(options.name, options.studies);
  const ground = await openGround(options);
  const { images } = ground;
  const jobs = planStudy({ study: asked, settings, seeds, ...(only && { only }), ...(images !== undefined && { images }) });
  await checkFolder(out, asked);
  await markFolder(out, { kind: "study" });
  await writeSettings(out, settings, context);
  const { steps, batch, learningRate } = settings.train;
  const rate = asked.calls ? "rates and the rest by each method's recipe" : `learning rate ${learningRate}`;
  const facts = { training: `${steps} steps of ${batch}, ${rate}`, store, teacher };
  const say = (message: string): void => context.report({ type: "note", stage: "study", message });
  const adorn = ornaments("study", context);
  const failed: string[] = [];
  let evaluation: Evaluation | undefined;

  const evaluating = async (): Promise<Evaluation> => (evaluation ??= await openEvaluation({ ...options, captionReader: obeyed }));

  /** The results of these jobs that were measured alike, and what to compare them with. */
  async function findings(): Promise<Findings> {
    const found = await readResults(out);
    const results = jobs.flatMap((job) => lastOf(job, found) ?? []).filter(({ measurement }) => measurement === ground.measurement);
    const baselines = await readBaselines(out, ground);
    const costs = asked.calls && costsOf(asked, await readTimes(out));
    return { study: asked, results, ...(baselines && { baselines }), ...(costs && { costs }) };
  }

  async function timesLeft(done: readonly Result[]): Promise<string> {
    const rest = secondsLeft({ jobs: jobs.map(placeOf), done, times: await readTimes(out) });
    return rest > 0 ? `, about ${durationInWords(rest)} left` : "";
  }

  /** Trains and measures what is not done yet; answers the figures, if there are new ones. */
  async function make(job: Job): Promise<Figures | undefined> {
    const [run, folder, training] = [nameOf(job), join(out, nameOf(job)), ground.trainingOf(job)];
    const found = lastOf(job, await readResults(out));
    if (found && found.training !== training) {
      const remedy = "Choose another --out, or repeat its settings";
      throw new Failure(`Cannot go on with the study ${out}: ${run} was trained with other data or settings. ${remedy}.`);
    }
    if (found?.measurement === ground.measurement) return undefined;
    await timed(out, job, "train", () =>
      train({ store, teacher, out: folder, push, settings: job.settings, context: within(context, run) }),
    );
    const measured = await timed(out, job, "measure", async () => measuredAt(await evaluating(), folder, asked.calls));
    const { evaluations } = ground;
    const needed = asked.calls && (await neededBy({ folder, store, evaluations, settings: job.settings }));
    const result = { study: asked.name, ...placeOf(job), run, training, measurement: ground.measurement, ...measured };
    await appendResult(out, { ...result, ...(needed && { needed }) });
    await push?.();
    return measured.figures;
  }

  async function measureTeacher(): Promise<void> {
    if (await readBaselines(out, ground)) return;
    await measureBaselines({ folder: out, teacher, ground, evaluation: await evaluating() });
  }

  const already = (await findings()).results;
  say(`${asked.name}: ${jobs.length} runs of ${steps} steps, ${already.length} done${await timesLeft(already)}`);
  try {
    for (const job of jobs) {
      context.signal.throwIfAborted();
      if (job.seed > 0) await measureTeacher();
      try {
        const figures = await make(job);
        if (!figures) continue;
        const found = await findings();
        const { results } = found;
        const spent = durationInWords(secondsOf(placeOf(job), await readTimes(out)));
        const distance = numberInWords(Number(figures.frechetDistance.mean.toPrecision(4)));
        say(
          `${nameOf(job)}: Fréchet distance ${distance} after ${spent}; ${results.length} of ${jobs.length} runs ` +
            `done${await timesLeft(results)}`,
        );
        await adorn("the report so far", () => writeReport({ folder: out, facts, command: options.command, ...found }));
      } catch (error) {
        context.signal.throwIfAborted();
        // Of variants of one method a usage failure is every run's; of several methods it says what one of them lacks.
        if (!isFailure(error) || (error.exitCode === 2 && !asked.calls) || lastOf(job, await readResults(out))) throw error;
        failed.push(nameOf(job));
        context.report({ type: "warning", stage: "study", message: `${nameOf(job)} failed and is passed over: ${error.message}` });
      }
    }
    if (failed.length < jobs.length) await measureTeacher();
  } finally {
    await evaluation?.close();
  }

  const found = await findings();
  const report = await writeReport({ folder: out, facts, command: options.command, ...found });
  if (found.results.length > 0) context.report({ type: "table", stage: "study", rows: tableRows(found) });
  const { order, pairs } = verdict(samplesOf(found));
  for (const sentence of [...order, ...pairs.slice(0, asked.variants.length - 1)]) say(sentence); // neighbours; the report has every pair
  context.report({ type: "result", stage: "study", values: { runs: found.results.length, report } });
  if (failed.length > 0)
    throw new Failure(`Cannot finish the study ${out}: ${failed.join(", ")} failed. The same command tries them again.`);
  return [...found.results];
}

const placeOf = ({ variant, seed }: Job): { variant: string; seed: number } => ({ variant: variant.name, seed });
const nameOf = ({ variant, seed }: Job): string => `${variant.name}/${seed}`;

function lastOf({ variant, seed }: Job, results: readonly Result[]): Result | undefined {
  return results.filter((result) => result.variant === variant.name && result.seed === seed).at(-1);
}

/** A student measured as it says by itself, or at each of these numbers of calls that it was made for: whole at the fewest. */
async function measuredAt(evaluation: Evaluation, path: string, calls?: readonly number[]): Promise<Pick<Result, "figures" | "calls">> {
  const { description } = await readDenoiser(path);
  const allowed = allowedSteps(description);
  const [first, ...others] = (calls ?? []).filter((count) => allowed === "any" || allowed.includes(count));
  const figures = figuresOf(await evaluation.measure({ name: "student", path, steps: first }));
  if (first === undefined) return { figures };
  const found: AtCalls[] = [{ calls: first, frechetDistance: figures.frechetDistance }];
  for (const steps of others) {
    const measures = await evaluation.measure({ name: "student of more calls", path, steps, only: "distance" });
    found.push({ calls: steps, frechetDistance: summaries(measures).frechetDistance as AtCalls["frechetDistance"] });
  }
  return { figures, calls: found };
}

async function checkFolder(out: string, { name }: Study): Promise<void> {
  const other = (await readResults(out)).find((result) => result.study !== name);
  if (other) throw new Failure(`Cannot put the study "${name}" into ${out}: it holds the study "${other.study}". Choose another --out.`);
}

/** The context of one run: its bars and words carry the run's name, and what it prints of results is the study's to say. */
function within(context: Context, name: string): Context {
  const renamed = (event: PipelineEvent): PipelineEvent => (event.stage === "train" ? { ...event, stage: name } : event);
  const report: Context["report"] = (event) =>
    event.type === "result" || event.type === "table" ? undefined : context.report(renamed(event));
  return { ...context, report };
}

async function timed<T>(out: string, job: Job, part: "train" | "measure", work: () => Promise<T>): Promise<T> {
  const began = performance.now();
  const memory = watchMemory();
  try {
    return await work();
  } finally {
    const seconds = Number(((performance.now() - began) / 1000).toFixed(1));
    await appendTime(out, { ...placeOf(job), part, seconds, memory: memory.end() });
  }
}
