/**
 * pipeline train --store STORE --teacher RUN --out RUN [--method NAME] [--lora FILE[:SCALE]] [--size WxH]
 *
 * rows | steps | measured | recorded | kept
 */
import { descentFindings } from "../methods/findings/descent.ts";
import type { Phase } from "../methods/method.ts";
import { methodNamed, ownSettings } from "../methods/registry.ts";
import { evaluationsOf } from "../models/diffusion/plan-schedule.ts";
import { planOf, samplerInWords } from "../models/diffusion/sampler-plan.ts";
import type { Context } from "../schemas/events.ts";
import { Failure } from "../schemas/failure.ts";
import type { Settings } from "../schemas/settings.ts";
import { numberInWords } from "../schemas/words.ts";
import { inTurn, iterate, pull } from "../stages/flow/mod.ts";
import { markFolder, readMark } from "../stages/runs/folder.ts";
import { inPlaceOf, type Push } from "../stages/runs/mirror.ts";
import type { Denoiser } from "../stages/runs/model.ts";
import { ornaments } from "../stages/runs/ornament.ts";
import { openRecord } from "../stages/runs/record.ts";
import { openVigil } from "../stages/runs/vigil.ts";
import { writeSettings } from "../stages/runs/settings-file.ts";
import { plannedPhases } from "../stages/train/phases.ts";
import { prepareStudent, type StudentOptions } from "../stages/train/prepare/student.ts";
import { checkSettings, keptLora, keptWeights, openProgress } from "../stages/train/progress.ts";
import { kept, measured, type Parts, pictured, recorded, steps } from "../stages/train/steps.ts";
import { startTrainer } from "../stages/train/trainer.ts";
import type { Trainer, Training } from "../stages/train/training.ts";
import { waiting } from "../stages/train/waiting.ts";
import { sampledOf } from "../stages/workers/trained-sampling.ts";
import { simulate } from "./simulate.ts";

/**
 * Trains a student by `settings.train.method`, on a store that is finished or still being written: which rows a
 * step sees does not depend on it. Resumes exactly. The student written is the EMA of the least online distance
 * (`train.keep`). Under a URL it trains in a folder that stands for it, and sends what it made after each checkpoint; `push` does so for
 * whom the run is a part of. `repair` makes damaged shards of stores again that the method itself simulates. Throws a Failure when store
 * and teacher do not belong together, or the method needs what is not given.
 */
export async function train(options: Omit<StudentOptions, "method"> & { push?: Push | undefined; repair?: boolean }): Promise<Denoiser> {
  const { out, settings } = options;
  const method = methodNamed(settings.train.method);
  const phases = method.phases?.(ownSettings(method, settings.train)) ?? [];
  const stores = phases.filter((phase) => "simulate" in phase).map(({ name }) => name); // under a URL they lie there themselves
  const how = {
    out,
    kind: "student",
    command: "train",
    parts: phases.map(({ name }) => name),
    except: stores,
    context: options.context,
  } as const;
  return inPlaceOf(how, async (place) => {
    const all = { ...options, ...place, method };
    const student = phases.length > 0 ? await inPhases({ ...all, phases }) : await trainOnce(all);
    const { description } = student;
    const evaluations = evaluationsOf(planOf(description, settings.simulate), description.spec);
    const values = { out: place.out, pictures: `${place.out}/pictures`, evaluations };
    place.context.report({ type: "result", stage: "train", values });
    return student;
  });
}

/** One training of a student. */
async function trainOnce(options: StudentOptions & { push?: Push | undefined }): Promise<Denoiser> {
  return trained({ ...(await prepareStudent(options)), push: options.push }, options);
}

/** A method's phases one after the other: what one makes is the teacher of those after it, and what it simulates their triples. */
async function inPhases(
  options: StudentOptions & { phases: readonly Phase<never>[]; push?: Push | undefined; repair?: boolean },
): Promise<Denoiser> {
  const { repair, context } = options;
  let [{ teacher, store, loras, size }, made] = [options, undefined as Denoiser | undefined];
  const phases = await plannedPhases({ ...options, given: store });
  await checkSettings({ ...options, settings: phases.at(-1)!.settings });
  if (!(await readMark(options.out))) await markFolder(options.out, { kind: "student" });
  for (const { kind, out, settings } of phases) {
    context.report({ type: "note", stage: "train", message: `${kind === "train" ? "trains" : "simulates"} ${out}` });
    if (kind === "simulate") {
      await simulate({ teacher, loras, size, out, work: { repair }, settings, context });
      store = out;
    } else {
      made = await trainOnce({ ...options, teacher, loras, size, store, out, settings });
      [teacher, loras, size] = [out, undefined, undefined]; // its weights have them, and its size is that
    }
  }
  return made as Denoiser;
}

/**
 * Takes all steps of a training that are not done yet, by a trainer in a worker, and writes what is made. Nothing is written
 * before it is certain that the run folder holds no other run.
 */
export async function trained<Result>(
  training: Training<Result>,
  { settings, context }: { settings: Settings; context: Context },
  start = startTrainer,
): Promise<Result> {
  const { out, method, identity } = training;
  try {
    const trainer = await start(training, context);
    try {
      const measuring = training.measuring?.(trainer);
      const progress = await openProgress({ training, trainer, measuring, context });
      await markFolder(out, { kind: method.makes, identity: identity.parts });
      await training.begin?.();
      await writeSettings(out, settings, context);
      await tellFrozen(trainer, training, context);
      if (!progress.isOver(progress.from)) await trainOn({ training, trainer, measuring, progress, context });
      const made = await training.write(await keptWeights(training, trainer, progress), await keptLora(training, trainer, progress));
      await training.push?.();
      await training.reader?.end();
      return made;
    } finally {
      await trainer.close();
    }
  } finally {
    await training.close();
  }
}

/** Says how much of the network stays as it was, where not all of it is trained. */
async function tellFrozen(trainer: Trainer, { name, method }: Training<unknown>, context: Context): Promise<void> {
  const { trained, frozen } = await trainer.sizes(method.makes);
  if (frozen === 0) return;
  const share = numberInWords((100 * frozen) / (trained + frozen));
  const [moving, still] = [trained, frozen].map((count) => count.toLocaleString("en"));
  const message = `trains ${moving} numbers of the ${method.makes}; ${still} (${share} %) stay as they are`;
  context.report({ type: "note", stage: name, message });
}

async function trainOn(common: Omit<Parts, "record" | "adorn">): Promise<void> {
  const { training, progress, context } = common;
  const { name, out: folder, method, job, batches } = training;
  const { steps: total, batch } = job.optimiser;
  const { from } = progress;
  const rules = [...descentFindings(method.rare), ...(method.findings ?? [])];
  const adorn = ornaments(name, context);
  const sampled = sampledOf(method, job);
  const record = await openRecord({
    folder,
    name,
    steps: total,
    batch,
    from,
    groups: method.figures,
    rules,
    adorn,
    context,
    ...(sampled && { sampling: samplerInWords(sampled) }),
  });
  const parts = { ...common, record, adorn };
  const rows = waiting(() => batches(from, vigil));
  const vigil = openVigil({ stage: name, context, blockedSince: rows.since });
  try {
    if (from === 0) {
      await pictured(parts, 0);
      await record.flush();
    }
    const flow = pull(rows.read).pipe(inTurn(name, steps(parts), measured(parts), recorded(parts), kept(parts)));
    for await (const { isLast } of iterate(flow, { signal: context.signal })) {
      if (!isLast) continue;
      context.report({ type: "note", stage: name, message: `waited for data during ${rows.percent().toFixed(2)} % of the time` });
      return;
    }
    throw new Failure(`Cannot finish training ${folder}: the batches ended before step ${total}`);
  } catch (error) {
    await record.end("stopped", (error as Error | undefined)?.message).catch(() => {}); // the first error is the one to report
    if (context.signal.aborted) {
      await progress.saveStopped().catch((reason: Error) => {
        const message = `the steps since the last checkpoint are lost: ${reason.message}`;
        context.report({ type: "warning", stage: name, message });
      });
    }
    throw error;
  } finally {
    vigil.close();
  }
}
