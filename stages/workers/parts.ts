/** The networks of a training on its engine: parts with what is trained and what is frozen of them, and frozen networks. */
import type { Engine } from "../../engine/engine.ts";
import type { Tensors } from "../../engine/program.ts";
import type { ConstantSet, VariableSet } from "../../engine/variables.ts";
import { layoutDifferences, type Weights } from "../../engine/weights.ts";
import type { AnyMethod } from "../../methods/load.ts";
import type { Kit, Part, Role } from "../../methods/method.ts";
import { parameterGroups } from "../../models/denoiser.ts";
import type { Parameters } from "../../models/layers.ts";
import { effective, initAdapter, merge } from "../../models/training/adapters.ts";
import { createTrained, type Trained } from "../../models/training/trained.ts";

/** The set of a part's frozen parameters, beside the set of what is trained of it. */
const BASE = "frozen.";

/** A part of the method with its variables, and what of it stays as it is. */
interface InTraining extends Part {
  trained: Trained;
  frozen: Weights;
  /** The frozen parameters as programs read them; none where all are trained. */
  base?: ConstantSet;
}

/** The part of whose target this is the role; undefined where it is none. */
const ofTarget = (role: Role): Role | undefined => /^(.+)\.target$/.exec(role)?.[1];

type Sets = Record<string, VariableSet | ConstantSet>;

export interface Networks {
  /** The part of a role, and its `average` decay. */
  part: (role: Role) => InTraining;
  /** The sets that a program needs to look at these networks: parts as they are (or their EMA), and frozen ones. */
  sets: (roles?: readonly Role[], set?: "network" | "average") => Sets;
  /** The set that an update of this part reads beside what it trains; empty where all is trained. */
  baseOf: (role: Role) => Sets;
  /** All parameters of a network inside a program, of what is trained of it and the program's sets. */
  whole: (role: Role, trained: Parameters, sets: Record<string, Tensors>) => Parameters;
  /** The same on the host, ready for a file. */
  merged: (role: Role, trained: Weights) => Weights;
  /** Every variable that a checkpoint must hold, by part and set. */
  variables: Record<string, VariableSet>;
}

/** Makes the parts of a method. `start` has parts of an earlier run: one of another layout is passed over, and begins anew. */
export function createNetworks(options: {
  engine: Engine;
  method: AnyMethod;
  kit: Kit<never>;
  start?: Readonly<Record<Role, Weights>>;
}): Networks {
  const { engine, method, kit, start } = options;
  const { weights, subject, seed } = kit;
  const frozen = Object.fromEntries(Object.entries(weights).map(([role, of]) => [role, engine.constants(role, of)]));
  const spec = subject.student ?? subject.spec;
  const groups = spec ? parameterGroups(spec) : {};

  const begin = (role: Role, { from }: Part): Weights => {
    const fresh = typeof from === "function" ? from() : (weights[from] as Weights);
    const earlier = start?.[role];
    return earlier && layoutDifferences(fresh, earlier).length === 0 ? earlier : fresh;
  };
  const create = (role: Role, part: Part): InTraining => {
    const adapted = initAdapter({ weights: begin(role, part), adapter: part.train, groups, seed });
    const trained = createTrained(engine, role, adapted.trained, {
      average: part.average !== undefined,
      target: part.target !== undefined,
    });
    if (Object.keys(adapted.frozen).length === 0) return { ...part, trained, frozen: {} };
    // A LoRA over a frozen network that is given shares its set: large weights are there once.
    const isGiven = typeof part.from === "string" && adapted.frozen === weights[part.from];
    const base = isGiven ? (frozen[part.from as string] as ConstantSet) : engine.constants(`${role}.frozen`, adapted.frozen);
    return { ...part, trained, frozen: adapted.frozen, base };
  };
  const parts = Object.fromEntries(Object.entries(method.parts(kit)).map(([role, part]) => [role, create(role, part)]));

  const baseOf = (named: Role): Sets => {
    const role = ofTarget(named) ?? named;
    return parts[role]?.base ? { [BASE + role]: parts[role].base } : {};
  };
  const setOf = (role: Role, set: "network" | "average"): VariableSet | ConstantSet => {
    const target = parts[ofTarget(role) ?? ""]?.trained.target;
    if (target) return target;
    const trained = parts[role]?.trained;
    return trained ? (trained[set] ?? trained.network) : (frozen[role] as ConstantSet);
  };
  return {
    part: (role) => {
      const found = parts[role];
      if (found) return found;
      throw new Error(`Method "${method.name}" trains no "${role}", only ${Object.keys(parts).join(", ")}`);
    },
    sets: (roles = [], set = "network") =>
      Object.fromEntries(roles.flatMap((role) => [[role, setOf(role, set)] as const, ...Object.entries(baseOf(role))])),
    baseOf,
    whole: (named, trained, sets) => {
      const role = ofTarget(named) ?? named;
      const part = parts[role];
      return part?.base ? effective({ trained, frozen: sets[BASE + role] as Parameters, adapter: part.train }) : trained;
    },
    merged: (role, trained) => merge({ trained, frozen: parts[role]?.frozen ?? {}, adapter: parts[role]?.train ?? "all" }),
    variables: Object.fromEntries(
      Object.entries(parts).flatMap(([role, { trained }]) =>
        Object.entries(trained).map(([set, of]) => [`${role}.${set}`, of as VariableSet] as const),
      ),
    ),
  };
}
