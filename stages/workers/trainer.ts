/**
 * Trains by any method in a worker: loads the method by name, makes its parts, compiles its programs when first run, and
 * takes its steps. Step k is a pure function of the state before it, the batch and k.
 */
import { createEngine } from "../../engine/engine.ts";
import type { InputArray, Program as Compiled } from "../../engine/program.ts";
import { createOrder } from "../../engine/variables.ts";
import { countWeights, hashWeights, type Weights } from "../../engine/weights.ts";
import { loadMethod } from "../../methods/load.ts";
import type { Batch, Job, Kit, Look, Program, Role } from "../../methods/method.ts";
import type { SamplerInputs, Sampling } from "../../models/diffusion/sampling.ts";
import type { Adapter } from "../../models/training/adapters.ts";
import { averageDecay, rateInputs } from "../../models/training/optimiser.ts";
import { isSound } from "../../models/training/health.ts";
import { type Step, scalars } from "../../models/training/plan.ts";
import { createMeeting, joinMeeting, type Meeting, type SharedSum } from "../../models/training/shared-sum.ts";
import { savedState } from "../../models/training/trained.ts";
import type { Figures } from "../../schemas/figures.ts";
import type { EngineSettings } from "../../schemas/settings.ts";
import { deviceOf } from "./device.ts";
import { createUpdates } from "./updates.ts";

export interface TrainerOptions {
  /** The method's name: its file in methods/, or the one with the URL `file`. */
  method: string;
  file?: string | undefined;
  job: Job<never>;
  /** Frozen networks by role. */
  weights: Readonly<Record<Role, Weights>>;
  /** Parts of an earlier run by role: one of another layout is passed over, and begins anew. */
  start?: Readonly<Record<Role, Weights>>;
  /** See StepOptions of models/training/plan.ts. */
  checkpointing?: boolean;
  /** Which of several workers this is, which take the micro-batches of each step in turn. */
  among?: Among;
  engine: EngineSettings;
}

/** The worker's methods; see engine/compute.ts. One of several is to `join` the others before its first step. */
export async function create(options: TrainerOptions) {
  const { method: name, file, job, weights, start, checkpointing = false, among, engine: where } = options;
  const method = await loadMethod(name, file);
  const engine = await createEngine(deviceOf(where));
  const kit: Kit<never> = { ...job, weights };
  const { optimiser } = job;
  const updates = createUpdates({ engine, method, kit, start, checkpointing, workers: among?.workers });
  const { networks, programs, health, compileUpdate, compileLook, compileSampling } = updates;
  const lora = loraOver(networks.part(method.makes)); // at once: a reply that is moved to another thread takes frozen weights with it

  let together: SharedSum | undefined;
  const steps = new Map<string, Promise<Step>>();
  const looks = new Map<string, Promise<Compiled>>();
  const programNamed = (program: string): Program => {
    const found = programs[program];
    if (found) return found;
    throw new Error(`Method "${name}" has no program "${program}", only ${Object.keys(programs).join(", ")}`);
  };
  const run = async (
    program: string,
    inputs: Record<string, InputArray>,
    at: { step: number; before?: number | undefined; isRead: boolean },
  ) => {
    const { step, before = step, isRead } = at;
    const plan = programNamed(program);
    if (!("trains" in plan)) return scalars(await look(program, inputs));
    const compiled = steps.get(program) ?? compileUpdate(program, plan, together);
    steps.set(program, compiled);
    const rates = rateInputs(step, { ...optimiser, ...plan.optimiser }, before);
    const { average = 0, ramp } = networks.part(plan.trains);
    const feeds = { ...inputs, ...rates, decay: averageDecay(step, average, ramp) };
    return scalars(await (await compiled)(feeds, isRead ? {} : { outputs: [] }));
  };

  const look = async (program: string, inputs: Record<string, InputArray>): Promise<Record<string, InputArray>> => {
    const compiled = looks.get(program) ?? compileLook(program, programNamed(program) as Look);
    looks.set(program, compiled);
    return (await compiled).run(inputs);
  };

  const samplings = new Map<string, Promise<Sampling>>();
  const inOrder = createOrder();

  return {
    /** A place for the gradients of this training's workers, who `join` there. */
    meeting: async (): Promise<Meeting> => {
      const trained = Object.values(programs).flatMap((program) => ("trains" in program ? [networks.part(program.trains).trained] : []));
      const sizes = trained.map(({ network }) => countWeights(network.variables));
      return createMeeting({ size: Math.max(...sizes), parts: optimiser.accumulate });
    },
    join: async (meeting: Meeting): Promise<void> => {
      together = among && joinMeeting(meeting, among);
    },
    /**
     * Takes a step. Where nobody is shown its figures, a device with a memory of its own is not waited for: there are none then, but for
     * those that only some steps have (a program of their name makes them).
     */
    step: async ({ isShown = true, ...batch }: Batch & { isShown?: boolean }): Promise<Figures> => {
      const isRead = (program: string): boolean => isShown || !engine.isSeparate || (method.rare ?? []).includes(program);
      const figures = await method.step(batch, job, (program, inputs, { updates } = {}) =>
        run(program, inputs, { step: batch.step, before: updates, isRead: isRead(program) }),
      );
      return Object.fromEntries(Object.entries(figures).filter(([, value]) => value !== undefined));
    },
    /** Whether all figures were finite, those too that nobody was shown. */
    isSound: (): Promise<boolean> => isSound(health),
    /** Samples of what is made; the first call decides how many rows all have. */
    sample: ({ inputs, of }: { inputs: SamplerInputs; of: "average" | "network" }): Promise<Float32Array> =>
      inOrder(async () => {
        const opened = samplings.get(of) ?? compileSampling(of, inputs.rows);
        samplings.set(of, opened);
        return (await opened).sample(inputs);
      }),
    look: ({ program, inputs }: { program: string; inputs: Record<string, InputArray> }): Promise<Record<string, InputArray>> =>
      look(program, inputs),
    read: ({ role, set }: { role: Role; set: "network" | "average" }): Promise<Weights> => {
      const { trained } = networks.part(role);
      return (trained[set] ?? trained.network).read();
    },
    /** How many numbers of a part are trained, and how many stay as they are. */
    sizes: async (role: Role): Promise<{ trained: number; frozen: number }> => {
      const { trained, frozen } = networks.part(role);
      return { trained: countWeights(trained.network.variables), frozen: countWeights(frozen) };
    },
    /** All parameters of a part for what is trained of it, ready for a file. */
    whole: async ({ role, trained }: { role: Role; trained: Weights }): Promise<Weights> => networks.merged(role, trained),
    lora: async ({ role }: { role: Role }): Promise<LoraOver | undefined> => (role === method.makes ? lora : undefined),
    ...savedState(networks.variables),
  };
}

/** One of several workers. */
export type Among = Pick<SharedSum, "worker" | "workers">;

/** That a part is a LoRA, and the hash of the weights under it. */
type LoraOver = { rank: number; alpha: number; base: string };

function loraOver({ train, frozen }: { train: Adapter; frozen: Weights }): LoraOver | undefined {
  if (train === "all" || !("lora" in train)) return undefined;
  const { rank, alpha } = train.lora;
  return { rank, alpha, base: hashWeights(frozen) };
}

export type TrainerApi = Awaited<ReturnType<typeof create>>;
