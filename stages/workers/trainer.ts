/**
 * Trains by any method in a worker: loads the method by name, makes its parts, compiles its programs when first run, and
 * takes its steps. Step k is a pure function of the state before it, the batch and k.
 */
import { createEngine } from "../../engine/engine.ts";
import type { InputArray, Program as Compiled, Tensors } from "../../engine/program.ts";
import { type ConstantSet, createOrder, type VariableSet } from "../../engine/variables.ts";
import { layoutDifferences, type Weights } from "../../engine/weights.ts";
import { loadMethod } from "../../methods/load.ts";
import type { Batch, Job, Kit, Look, Part, Program, Role, Update } from "../../methods/method.ts";
import { createSampling, type SamplerInputs, type SamplerPlan, type Sampling } from "../../models/diffusion/sampling.ts";
import { parameterGroups } from "../../models/denoiser.ts";
import type { Parameters } from "../../models/layers.ts";
import { effective, initAdapter, merge } from "../../models/training/adapters.ts";
import { averageDecay, rateInputs } from "../../models/training/optimiser.ts";
import { LEFT } from "../../models/training/left.ts";
import { compileStep, scalars } from "../../models/training/step.ts";
import type { Step } from "../../models/training/step-options.ts";
import { createTrained, savedState, type Trained } from "../../models/training/trained.ts";
import type { Figures } from "../../schemas/figures.ts";
import type { EngineSettings } from "../../schemas/settings.ts";
import { deviceOf } from "./device.ts";

export interface TrainerOptions {
  /** The method's name: its file in methods/. */
  method: string;
  job: Job<never>;
  /** Frozen networks by role. */
  weights: Readonly<Record<Role, Weights>>;
  /** Parts of an earlier run by role: one of another layout is passed over, and begins anew. */
  start?: Readonly<Record<Role, Weights>>;
  engine: EngineSettings;
}

/** The set of a part's frozen parameters, beside the set of what is trained of it. */
const BASE = "frozen.";

/** A part of the method with its variables, and what of it stays as it is. */
interface InTraining extends Part {
  trained: Trained;
  frozen: Weights;
  /** The frozen parameters as programs read them; none where all are trained. */
  base?: ConstantSet;
}

/** The worker's methods; see engine/compute.ts. */
export async function create({ method: name, job, weights, start, engine: where }: TrainerOptions) {
  const method = await loadMethod(name);
  const engine = await createEngine(deviceOf(where));
  const kit: Kit<never> = { ...job, weights };
  const { optimiser } = job;

  const begin = (role: Role, { from }: Part): Weights => {
    const fresh = typeof from === "function" ? from() : (weights[from] as Weights);
    const earlier = start?.[role];
    return earlier && layoutDifferences(fresh, earlier).length === 0 ? earlier : fresh;
  };
  const parts: Record<Role, InTraining> = Object.fromEntries(
    Object.entries(method.parts(kit)).map(([role, part]) => {
      const groups = job.subject.spec ? parameterGroups(job.subject.spec) : {};
      const adapted = initAdapter({ weights: begin(role, part), adapter: part.train, groups, seed: job.seed });
      const trained = createTrained(engine, role, adapted.trained, { average: part.average !== undefined });
      const base = Object.keys(adapted.frozen).length > 0 && { base: engine.constants(`${role}.frozen`, adapted.frozen) };
      return [role, { ...part, trained, frozen: adapted.frozen, ...base }];
    }),
  );
  const frozen = Object.fromEntries(Object.entries(weights).map(([role, of]) => [role, engine.constants(role, of)]));
  const programs: Record<string, Program> = method.programs(kit);
  const left: Record<string, VariableSet> = {};
  for (const program of Object.values(programs)) {
    for (const [key, shape] of Object.entries(("trains" in program && program.leaves) || {})) {
      left[key] ??= engine.variables(`left.${key}`, { [LEFT]: { shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) } });
    }
  }

  /** The sets of the networks that a program looks at: parts as they are (or their EMA), and frozen ones. */
  const readSets = (roles: readonly Role[] = [], set: "network" | "average" = "network"): Record<string, VariableSet | ConstantSet> =>
    Object.fromEntries(
      roles.flatMap((role) => {
        const part = parts[role];
        if (!part) return [[role, frozen[role] as ConstantSet]];
        return [[role, part.trained[set] ?? part.trained.network], ...(part.base ? [[BASE + role, part.base] as const] : [])];
      }),
    );
  /** All parameters of a network, of what is trained and what is frozen of it. */
  const whole = (role: Role, trained: Parameters, sets: Record<string, Tensors>): Parameters => {
    const part = parts[role];
    return part?.base ? effective({ trained, frozen: sets[BASE + role] as Parameters, adapter: part.train }) : trained;
  };
  const wholes = (roles: readonly Role[] = [], sets: Record<string, Tensors>): Record<Role, Parameters> =>
    Object.fromEntries(roles.map((role) => [role, whole(role, sets[role] as Parameters, sets)]));
  const chosen = <T>(from: Record<string, T>, keys: readonly string[] = []): Record<string, T> =>
    Object.fromEntries(keys.map((key) => [key, from[key] as T]));

  const compileUpdate = (program: string, { trains, reads, inputs, leaves, takes, batch, loss, ...own }: Update): Promise<Step> =>
    compileStep({
      engine,
      name: `${name}: ${program}`,
      trained: parts[trains]!.trained,
      others: { ...readSets(reads), ...(parts[trains]?.base && { [BASE + trains]: parts[trains].base }) },
      inputs,
      optimiser: own.optimiser ?? optimiser,
      batch: batch ?? optimiser.batch,
      accumulate: batch === undefined ? optimiser.accumulate : 1, // one that has rows of its own is taken in one piece
      leaves: chosen(left, Object.keys(leaves ?? {})),
      takes: chosen(left, takes),
      loss: (parameters, given, sets) => loss(whole(trains, parameters, sets), given, wholes(reads, sets)),
    });
  const compileLook = (program: string, { reads, inputs, outputs }: Look): Promise<Compiled> =>
    engine.compile({
      name: `${name}: ${program}`,
      sets: readSets(reads, "average"),
      inputs,
      run: (sets, given) => ({ outputs: outputs(wholes(reads, sets), given as Tensors) }),
    });

  const steps = new Map<string, Promise<Step>>();
  const looks = new Map<string, Promise<Compiled>>();
  const programNamed = (program: string): Program => {
    const found = programs[program];
    if (found) return found;
    throw new Error(`Method "${name}" has no program "${program}", only ${Object.keys(programs).join(", ")}`);
  };
  const run = async (program: string, inputs: Record<string, InputArray>, step: number, updates = step): Promise<Figures> => {
    const plan = programNamed(program) as Update;
    const compiled = steps.get(program) ?? compileUpdate(program, plan);
    steps.set(program, compiled);
    const rates = rateInputs(step, { ...optimiser, ...plan.optimiser }, updates);
    return scalars(await (await compiled)({ ...inputs, ...rates, decay: averageDecay(step, parts[plan.trains]!.average ?? 0) }));
  };

  const samplings = new Map<string, Promise<Sampling>>();
  const inOrder = createOrder();
  const sampling = (of: "average" | "network", batch: number): Promise<Sampling> => {
    const { spec } = job.subject;
    const role = method.makes;
    if (!spec || !parts[role]) throw new Error(`Method "${name}" makes nothing that is sampled`);
    const { trained, base, train } = parts[role];
    const adapted = base && {
      frozen: base,
      whole: (some: Parameters, rest: Parameters) => effective({ trained: some, frozen: rest, adapter: train }),
    };
    const network = trained[of] ?? trained.network;
    return createSampling({ engine, spec, network, ...(adapted && { adapted }), plan: samplerPlan(method, job), batch });
  };

  return {
    step: (batch: Batch): Promise<Figures> =>
      method.step(batch, job, (program, inputs, { updates } = {}) => run(program, inputs, batch.step, updates)),
    /** Samples of what is made; the first call decides how many rows all have. */
    sample: ({ inputs, of }: { inputs: SamplerInputs; of: "average" | "network" }): Promise<Float32Array> =>
      inOrder(async () => {
        const opened = samplings.get(of) ?? sampling(of, inputs.rows);
        samplings.set(of, opened);
        return (await opened).sample(inputs);
      }),
    look: async ({ program, inputs }: { program: string; inputs: Record<string, InputArray> }): Promise<Record<string, InputArray>> => {
      const compiled = looks.get(program) ?? compileLook(program, programNamed(program) as Look);
      looks.set(program, compiled);
      return (await compiled).run(inputs);
    },
    read: ({ role, set }: { role: Role; set: "network" | "average" }): Promise<Weights> => {
      const { trained } = parts[role] as InTraining;
      return (trained[set] ?? trained.network).read();
    },
    /** All parameters of a part for what is trained of it, ready for a file. */
    whole: async ({ role, trained }: { role: Role; trained: Weights }): Promise<Weights> => {
      const { frozen, train } = parts[role] as InTraining;
      return merge({ trained, frozen, adapter: train });
    },
    ...savedState(
      Object.fromEntries(
        Object.entries(parts).flatMap(([role, { trained }]) =>
          Object.entries(trained).map(([set, of]) => [`${role}.${set}`, of as VariableSet]),
        ),
      ),
    ),
  };
}

/** How samples are drawn on the way: as the method says, or where any solver may ask, as the job does. */
function samplerPlan(method: Awaited<ReturnType<typeof loadMethod>>, { settings, subject }: Job<never>): SamplerPlan {
  const sampler = method.sampler?.(settings, subject);
  if (!sampler || sampler.times === "any") return subject.plan as SamplerPlan;
  return { solver: "euler", steps: sampler.times.length, guidance: sampler.guidance };
}

export type TrainerApi = Awaited<ReturnType<typeof create>>;
