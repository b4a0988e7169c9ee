/**
 * What a training would take, by its programs traced over shapes alone: nothing is read but configs and headers, and nothing is
 * computed.
 */
import { setImmediate } from "node:timers/promises";
import type { Cost } from "../../engine/cost.ts";
import { createPlanner, type Planner } from "../../engine/planner.ts";
import type { Batch, Job } from "../../methods/method.ts";
import { type AnyMethod, methodNamed, optimiserOf, ownSettings } from "../../methods/registry.ts";
import { conditionInputs, type DenoiserSpec } from "../../models/denoiser.ts";
import { createSampling } from "../../models/diffusion/sampling.ts";
import { textShapeOf } from "../../models/families/published.ts";
import type { Context } from "../../schemas/events.ts";
import type { Settings } from "../../schemas/settings.ts";
import { countWeights, elements } from "../../engine/weights.ts";
import { planTextEncoders } from "../published/text.ts";
import type { Codec, Denoiser } from "../runs/model.ts";
import { SAMPLED_AT_ONCE } from "../train/sample-evenly.ts";
import { deviceOf } from "../workers/device.ts";
import { createUpdates } from "../workers/updates.ts";
import { type Memory, memoryOf } from "./memory.ts";
import { partsOf, phasesOf, type Training } from "./programs.ts";

/** A program with how often a step runs it, on average. */
interface Share {
  cost: Cost;
  perStep: number;
}

/** One training of a method; most have one, some have several phases. */
export interface PlannedTraining {
  steps: number;
  /** Numbers that are trained, and those of the network that stay as they are. */
  trained: number;
  frozen: number;
  memory: Memory;
  programs: Share[];
}

/** Triples that a method learns from: what one batch of them takes to sample. */
export interface PlannedTriples {
  rows: number;
  evaluations: number;
  /** One evaluation of a batch. */
  cost: Cost;
  /** Of a teacher that is told texts: what embeds them, each once. */
  texts?: PlannedTexts;
}

/** Text encoders, and one text's way through them. */
export interface PlannedTexts {
  parameters: number;
  cost: Cost;
}

export interface Plan {
  trainings: PlannedTraining[];
  /** Of every simulation, the first by `simulate` itself; none where the method needs no triples. */
  triples: PlannedTriples[];
}

/** The plan of the settings' method for a teacher whose weights have shapes alone. Throws a Failure where what it needs is not given. */
export async function planTraining(options: { teacher: Denoiser; codec: Codec; settings: Settings; context: Context }): Promise<Plan> {
  const { settings, teacher } = options;
  const method = methodNamed(settings.train.method);
  const own = ownSettings(method, settings.train);
  const { trained, simulated } = await phasesOf(settings);
  const needs = method.needs(own, optimiserOf(settings.train));
  if (needs.rows === "triples") simulated.unshift(settings);
  const [trainings, triples]: [PlannedTraining[], PlannedTriples[]] = [[], []];
  for (const phase of trained) trainings.push(await planOnce({ ...options, method, settings: phase }));
  for (const phase of simulated) triples.push(await planSimulation(teacher, phase));
  return { trainings, triples };
}

/** What the triples of `simulate` would take. */
async function planSimulation({ description, weights }: Denoiser, settings: Settings): Promise<PlannedTriples> {
  const { spec } = description;
  const { count: rows, batch, ...plan } = settings.simulate;
  const { engine, costs } = plannerFor(settings);
  const network = engine.constants("network", weights);
  const { evaluations } = await createSampling({ engine, spec, network, plan, batch, unrolled: false }); // the cost of one is asked
  const [cost] = costs as [Cost];
  const texts = await planTexts(description, settings);
  return { rows, evaluations, cost, ...(texts && { texts }) };
}

/** What the text encoders of a published pipeline would take; undefined of a teacher that asks for none. */
async function planTexts({ spec, textEncoders }: Denoiser["description"], settings: Settings): Promise<PlannedTexts | undefined> {
  const folder = settings.simulate.textEncoders ?? textEncoders;
  const [shape, { text } = {}] = [textShapeOf(spec), spec.network];
  if (folder === undefined || !shape || !text) return undefined;
  const { engine, costs } = plannerFor(settings);
  const parameters = await planTextEncoders({ folder, lengths: text.lengths, shape, engine });
  return { parameters, cost: costs[0] as Cost };
}

/** One training. */
async function planOnce(options: Training): Promise<PlannedTraining> {
  const { method, settings, context } = options;
  const { job, kit, student } = await partsOf(options);
  const { optimiser } = job;
  const planner = plannerFor(settings);
  const { networks, programs, compileUpdate, compileSampling } = createUpdates({
    ...{ engine: planner.engine, method, kit },
    checkpointing: settings.train.checkpointing === "blocks",
  });
  const calls = await callsPerStep({ method, job, student });
  const shares: Share[] = [];
  for (const [name, program] of Object.entries(programs)) {
    const before = planner.costs.length;
    if (!("trains" in program) || calls(name) === 0) continue;
    await setImmediate(); // a trace holds this thread: let Ctrl-C in
    context.signal.throwIfAborted();
    await compileUpdate(name, program);
    const [first, ...others] = planner.costs.slice(before) as [Cost, ...Cost[]];
    // In micro-batches it is two programs, the first of which runs once for each.
    shares.push({ cost: first, perStep: calls(name) * (others.length > 0 ? optimiser.accumulate : 1) });
    shares.push(...others.map((cost) => ({ cost, perStep: calls(name) })));
  }
  await compileSampling("average", SAMPLED_AT_ONCE); // pictures on the way
  const { trained, frozen: rest } = networks.part(method.makes);
  return {
    steps: optimiser.steps,
    trained: countWeights(trained.network.variables),
    frozen: countWeights(rest),
    memory: memoryOf({ sets: planner.sets, frozen: Object.values(kit.weights), costs: planner.costs, workers: settings.train.workers }),
    programs: shares,
  };
}

const plannerFor = ({ engine }: Settings): Planner => {
  const { device, precision } = deviceOf(engine);
  return createPlanner({ device: device === "tensorflow" ? "cpu" : device, precision });
};

/** Steps at the end of a training that are looked at: more than any program of a method lets pass between two of its runs. */
const LOOKED = 48;

/** Rows of a step that is looked at: which programs run is the same for any number of them, and a row's text may be megabytes. */
const LOOKED_ROWS = 2;

/** How often a step runs a program, by its name, on average of the last steps: what it does is asked on a few rows of zeros. */
async function callsPerStep(options: { method: AnyMethod; job: Job<never>; student: DenoiserSpec }): Promise<(program: string) => number> {
  const { method, student } = options;
  const { steps, batch } = options.job.optimiser;
  const rows = Math.min(LOOKED_ROWS, batch);
  const job: Job<never> = { ...options.job, optimiser: { ...options.job.optimiser, batch: rows, accumulate: 1 } };
  const needs = method.needs(job.settings, job.optimiser);
  const zeros = (count: number): Float32Array => new Float32Array(count * elements(student.shape));
  const conditions = (count: number) =>
    Object.fromEntries(
      Object.entries(conditionInputs(student, count))
        .filter(([name]) => name !== "keep")
        .map(([name, { shape, dtype }]) => [name, new (dtype === "int32" ? Int32Array : Float32Array)(elements(shape))]),
    );
  const counts = new Map<string, number>();
  const first = Math.max(0, steps - LOOKED);
  for (let step = first; step < steps; step++) {
    const batch: Batch = {
      ...{ step, noise: zeros(rows), latent: zeros(rows), conditions: conditions(rows) },
      ...(job.subject.trajectory && { states: job.subject.trajectory.map(() => zeros(rows)) }),
      ...(needs.images && { image: { latent: zeros(needs.images.rows), conditions: conditions(needs.images.rows) } }),
    };
    await method.step(batch, job, async (program) => {
      counts.set(program, (counts.get(program) ?? 0) + 1);
      return {};
    });
  }
  return (program) => (counts.get(program) ?? 0) / (steps - first);
}
