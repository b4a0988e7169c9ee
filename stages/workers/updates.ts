/** The programs of a training on an engine, compiled when they are asked for: by the trainer to run them, by `doctor` to plan them. */
import type { Engine } from "../../engine/engine.ts";
import type { Program as Compiled, Tensors } from "../../engine/program.ts";
import type { VariableSet } from "../../engine/variables.ts";
import { elements, type Weights } from "../../engine/weights.ts";
import type { AnyMethod } from "../../methods/load.ts";
import type { Kit, Look, Program, Role, Update } from "../../methods/method.ts";
import { createSampling, type Sampling } from "../../models/diffusion/sampling.ts";
import type { Parameters } from "../../models/layers.ts";
import { effective } from "../../models/training/adapters.ts";
import { createHealth } from "../../models/training/health.ts";
import { LEFT, type Step } from "../../models/training/plan.ts";
import type { SharedSum } from "../../models/training/shared-sum.ts";
import { compileStep } from "../../models/training/step.ts";
import { createNetworks, type Networks } from "./parts.ts";
import { trainedSampling } from "./trained-sampling.ts";

interface Updates {
  networks: Networks;
  programs: Readonly<Record<string, Program>>;
  /** What counts figures that are not finite, where not every step's are read. */
  health: VariableSet | undefined;
  /** With `together` the micro-batches are those of one worker of several (see `compileStep`). */
  compileUpdate: (program: string, update: Update, together?: SharedSum) => Promise<Step>;
  /** Over the EMA of the parts it reads. */
  compileLook: (program: string, look: Look) => Promise<Compiled>;
  /**
   * Samples of what is made, or of its EMA, so many rows at once: no more than a step has of them, so that pictures on the way take
   * no more memory than steps. Throws an Error where what is made draws none.
   */
  compileSampling: (of: "average" | "network", rows: number) => Promise<Sampling>;
}

/** The parts of a method on an engine, and its programs over them. `start` is as `createNetworks` takes it. */
export function createUpdates(options: {
  engine: Engine;
  method: AnyMethod;
  kit: Kit<never>;
  start?: Readonly<Record<Role, Weights>>;
  /** Whether gradients compute blocks once more: less memory, the same results. */
  checkpointing?: boolean;
  /** Workers that share a batch: what programs leave for each other has each worker's own rows alone. */
  workers?: number | undefined;
}): Updates {
  const { engine, method, kit, checkpointing = false, workers = 1 } = options;
  const { optimiser } = kit;
  const networks = createNetworks(options);
  const programs: Record<string, Program> = method.programs(kit);
  const health = createHealth(engine);
  const left: Record<string, VariableSet> = {};
  for (const program of Object.values(programs)) {
    for (const [key, [rows = 0, ...row]] of Object.entries(("trains" in program && program.leaves) || {})) {
      const shape = [rows / workers, ...row];
      left[key] ??= engine.variables(`left.${key}`, { [LEFT]: { shape, data: new Float32Array(elements(shape)) } });
    }
  }

  const wholes = (roles: readonly Role[] = [], sets: Record<string, Tensors>): Record<Role, Parameters> =>
    Object.fromEntries(roles.map((role) => [role, networks.whole(role, sets[role] as Parameters, sets)]));
  const chosen = <T>(from: Record<string, T>, keys: readonly string[] = []): Record<string, T> =>
    Object.fromEntries(keys.map((key) => [key, from[key] as T]));

  const compileSampling: Updates["compileSampling"] = (of, rows) => {
    const sampled = trainedSampling(method, kit);
    if (!sampled) throw new Error(`Method "${method.name}" makes nothing that is sampled`);
    const { trained, base, train } = networks.part(method.makes);
    const adapted = base && {
      frozen: base,
      whole: (some: Parameters, rest: Parameters) => effective({ trained: some, frozen: rest, adapter: train }),
    };
    const batch = Math.min(rows, optimiser.batch / optimiser.accumulate);
    return createSampling({ engine, ...sampled, network: trained[of] ?? trained.network, ...(adapted && { adapted }), batch });
  };

  return {
    networks,
    programs,
    health,
    compileSampling,
    compileUpdate: (program, { trains, reads, inputs, leaves, takes, batch, loss, ...own }, together) =>
      compileStep({
        engine,
        name: `${method.name}: ${program}`,
        trained: networks.part(trains).trained,
        targetDecay: networks.part(trains).target,
        others: { ...networks.sets(reads), ...networks.baseOf(trains) },
        inputs,
        optimiser: own.optimiser ?? optimiser,
        batch: batch ?? optimiser.batch,
        accumulate: batch === undefined ? optimiser.accumulate : 1, // one that has rows of its own is taken in one piece, by every worker
        together,
        checkpointing,
        health,
        leaves: chosen(left, Object.keys(leaves ?? {})),
        takes: chosen(left, takes),
        loss: (parameters, given, sets) => loss(networks.whole(trains, parameters, sets), given, wholes(reads, sets)),
      }),
    compileLook: (program, { reads, inputs, outputs }) =>
      engine.compile({
        name: `${method.name}: ${program}`,
        sets: networks.sets(reads, "average"),
        inputs,
        run: (sets, given) => ({ outputs: outputs(wholes(reads, sets), given as Tensors) }),
      }),
  };
}
