/** The report of `doctor --teacher FOLDER`: what a distillation would take here, and a refusal where it cannot fit. */
import { availableMemory } from "../../engine/footprint.ts";
import { countWeights } from "../../engine/weights.ts";
import { checkFit } from "../../recipes/fit.ts";
import { methodNamed, optimiserOf, ownSettings } from "../../methods/registry.ts";
import { parameterGroups } from "../../models/denoiser.ts";
import type { Context } from "../../schemas/events.ts";
import { Failure } from "../../schemas/failure.ts";
import { sizeInWords } from "../../schemas/images.ts";
import type { Settings } from "../../schemas/settings.ts";
import { bytesInWords, durationInWords } from "../../schemas/words.ts";
import type { Codec, Denoiser } from "../runs/model.ts";
import { classOf } from "../../models/published/folder.ts";
import { type Memory, totalOf } from "./memory.ts";
import { type Plan, type PlannedTexts, type PlannedTraining, type PlannedTriples, planTraining } from "./training.ts";
import { secondsOf, type Speed, speedOf } from "./speed.ts";

/** A plan with what it was made of. */
interface Planned {
  teacher: Denoiser;
  codec: Codec;
  plan: Plan;
}

/**
 * The plan of a distillation of a teacher by the settings' method: its weights have shapes alone. Throws a Failure where settings and
 * teacher do not fit each other.
 */
export async function planFor(options: { teacher: Denoiser; codec: Codec; settings: Settings; context: Context }): Promise<Planned> {
  const { teacher, codec, settings } = options;
  const { network, shape } = teacher.description.spec;
  checkFit({ settings: { ...settings, network }, parts: ["train"], shape });
  return { teacher, codec, plan: await planTraining(options) };
}

/**
 * Reports the teacher, what is trained of it, the memory that takes part by part, and on each of `devices` the hours of triples and
 * steps. Throws a Failure with the numbers, and with what would fit, where the memory of this machine does not suffice.
 */
export async function reportPlan(options: {
  plan: Planned;
  devices: readonly string[];
  settings: Settings;
  context: Context;
  /** Bytes of memory; what there is unless given. */
  available?: number;
}): Promise<void> {
  const { plan: given, devices, settings, context, available = availableMemory() } = options;
  const { teacher, codec, plan } = given;
  const { report, signal } = context;
  const { network, shape } = teacher.description.spec;
  report({
    type: "result",
    stage: "teacher",
    values: {
      network: network.published ? classOf(network.published) : network.kind,
      parameters: countWeights(teacher.weights).toLocaleString("en"),
      latent: shape.join(" x "),
      images: sizeInWords(codec.description.imageSize),
    },
  });
  const { method, workers, batch, steps } = settings.train;
  const { accumulate } = optimiserOf(settings.train);
  const { trained, frozen, memory } = largestOf(plan);
  report({
    type: "result",
    stage: "training",
    values: {
      method,
      trained: `${trained.toLocaleString("en")} numbers`,
      frozen: `${frozen.toLocaleString("en")} numbers`,
      steps,
      batch: accumulate > 1 ? `${batch} in ${accumulate} micro-batches` : batch,
      ...(workers > 1 && { workers }),
    },
  });
  const texts = plan.triples.find((triples) => triples.texts)?.texts;
  if (texts) report({ type: "result", stage: "texts", values: ofTexts(texts) });
  const parts = Object.entries(PARTS).map(([part, name]) => ({ part: name, bytes: bytesInWords(memory[part as keyof Memory]) }));
  const total = totalOf(memory);
  report({ type: "table", stage: "memory", rows: [...parts, { part: "in all", bytes: bytesInWords(total) }] });
  await reportTimes(plan, { devices, settings, context });
  signal.throwIfAborted();
  if (settings.engine.device !== "cpu" || total <= available) return;
  throw new Failure(
    `Cannot train by ${method} on this machine: it would take about ${bytesInWords(total)} of memory (${inWords(memory)}), and ` +
      `${bytesInWords(available)} are available; ${await remedy({ ...given, settings, context }, available)}.`,
  );
}

/** What the text encoders take while triples are made: they are loaded for the embeddings, and let go before anything is trained. */
const ofTexts = ({ parameters, cost }: PlannedTexts): Record<string, string> => ({
  parameters: parameters.toLocaleString("en"),
  memory: `${bytesInWords(4 * parameters + cost.peak)} while texts are embedded`,
  arithmetic: `${(cost.products / 1e9).toPrecision(3)} GFLOP a text`,
});

/** What a user reads of each part. */
const PARTS: Readonly<Record<keyof Memory, string>> = {
  weights: "weights",
  lora: "LoRA factors",
  gradients: "gradients",
  moments: "optimiser's moments",
  averages: "averages (EMA)",
  activations: "activations",
  rest: "program and workers",
};

/** The largest parts, the largest first. */
function inWords(memory: Memory): string {
  const parts = Object.entries(memory).sort(([, a], [, b]) => b - a) as [keyof Memory, number][];
  return parts
    .slice(0, 3)
    .map(([part, bytes]) => `${PARTS[part]} ${bytesInWords(bytes)}`)
    .join(", ");
}

/** The training that needs the most memory: phases come one after the other. */
const largestOf = ({ trainings }: Plan): PlannedTraining =>
  trainings.reduce((most, training) => (totalOf(training.memory) > totalOf(most.memory) ? training : most));

/** One row a device: how long triples and steps take there, by its measured speed. */
async function reportTimes(plan: Plan, options: { devices: readonly string[]; settings: Settings; context: Context }): Promise<void> {
  const { devices, settings, context } = options;
  const { batch } = settings.simulate;
  const rows: Record<string, string>[] = [];
  for (const device of devices) {
    const speed = await speedOf(device, { threads: settings.engine.threads, signal: context.signal });
    if (!speed) continue;
    const training = plan.trainings.reduce((sum, { steps, ...planned }) => sum + steps * secondsOfStep(planned, speed), 0);
    const triples = plan.triples.reduce((sum, planned) => sum + secondsOfTriples(planned, batch, speed), 0);
    rows.push({
      device,
      "GFLOP/s": `${(speed.products / 1e9).toPrecision(3)} products, ${(speed.convolutions / 1e9).toPrecision(3)} convolutions`,
      triples: plan.triples.length === 0 ? "none" : durationInWords(triples),
      "a step": `${secondsOfStep(plan.trainings.at(-1) as PlannedTraining, speed).toPrecision(2)} s`,
      "all steps": durationInWords(training),
    });
  }
  const about = "by the arithmetic of the traced programs and this machine's measured speed, as busy as it is now";
  context.report({ type: "table", stage: "time", rows, about });
}

const secondsOfStep = ({ programs }: Pick<PlannedTraining, "programs">, speed: Speed): number =>
  programs.reduce((sum, { cost, perStep }) => sum + perStep * secondsOf(cost, speed), 0);

/** Every row may have a text of its own, and the negative prompt is one more. */
const secondsOfTriples = ({ rows, evaluations, cost, texts }: PlannedTriples, batch: number, speed: Speed): number =>
  Math.ceil(rows / batch) * evaluations * secondsOf(cost, speed) + (texts ? (rows + 1) * secondsOf(texts.cost, speed) : 0);

type Asked = Omit<Planned, "plan"> & { settings: Settings; context: Context };

/** The first of the usual ways to less memory that fits, as it can be typed; else the least that they come to. */
async function remedy(given: Asked, available: number): Promise<string> {
  let least = { bytes: Number.POSITIVE_INFINITY, typed: "" };
  for (const { typed, settings } of remediesOf(given)) {
    const bytes = totalOf(largestOf(await planTraining({ ...given, settings })).memory);
    if (bytes <= available) return `it would fit with ${typed} (${bytesInWords(bytes)})`;
    if (bytes < least.bytes) least = { bytes, typed };
  }
  const smaller = "take a smaller teacher or size, end other programs, or use a larger machine";
  return least.typed === "" ? smaller : `even with ${least.typed} it is ${bytesInWords(least.bytes)}: ${smaller}`;
}

/** Settings that take less memory, the least change first. */
function remediesOf({ settings, teacher }: Asked): { typed: string; settings: Settings }[] {
  const { train } = settings;
  const { method, batch } = train;
  const own = ownSettings(methodNamed(method), train) as { adapter?: unknown };
  const targets = ["attention"].filter((group) => Object.hasOwn(parameterGroups(teacher.description.spec), group));
  const canAdapt = own.adapter === "all" && targets.length > 0;
  const divided = { typed: `--set train.accumulate=${batch}`, change: { accumulate: batch } };
  const { accumulate: parts } = optimiserOf(train);
  const alone =
    train.workers > 1
      ? [{ typed: `--set train.workers=1 --set train.accumulate=${parts}`, change: { workers: 1, accumulate: parts } }]
      : [];
  const again = { typed: "--set train.checkpointing=blocks", change: { checkpointing: "blocks" } };
  const lora = { lora: { rank: 16, alpha: 16, targets } };
  const adapted = {
    typed: `--set 'train.${method}.adapter={lora: {rank: 16, alpha: 16, targets: [${targets}]}}'`,
    change: { [method]: { ...own, adapter: lora } },
  };
  const [dividing, adapting] = [train.accumulate < batch ? [divided] : [], canAdapt ? [adapted] : []];
  const recomputing = train.checkpointing === "off" ? [again] : [];
  const ways = [alone, recomputing, dividing, adapting, [...adapting, ...dividing], [...adapting, ...dividing, ...recomputing]];
  return ways
    .filter((way) => way.length > 0)
    .map((way) => ({
      typed: way.map(({ typed }) => typed).join(" "),
      settings: { ...settings, train: Object.assign({}, train, ...way.map(({ change }) => change)) },
    }));
}
