/**
 * Which part of a network is trained: all of it, some parameters, or low-rank additions to some kernels (LoRA, Hu et al.
 * 2021). One pure function stands in front of a family's `apply` and answers full parameters from the trained and the
 * frozen ones, so that neither network nor loss knows what is trained.
 */
import * as z from "zod";
import { type Tensor, tf } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { badUsage } from "../../schemas/failure.ts";
import { createInitialiser } from "../initialise.ts";
import { BASE, DOWN, type Parameters, parameter, UP } from "../layers.ts";
import { adaptedKernels, addLoras } from "./lora.ts";

const selection = z.array(z.string().min(1)).min(1);

/** `targets` and `only` are names of the family's groups, or regular expressions over parameter names. */
export const adapterSchema = z.union([
  z.literal("all"),
  z.strictObject({ lora: z.strictObject({ rank: z.int().positive(), alpha: z.number().positive(), targets: selection }) }),
  z.strictObject({ only: selection }),
]);
export type Adapter = z.infer<typeof adapterSchema>;

/** A network's parameters apart: what has gradients and moments, and what stays as it is. */
export interface Adapted<T> {
  trained: T;
  frozen: T;
}

/**
 * Takes weights apart for training. LoRA keeps all of them frozen and adds to each chosen kernel [..., in, out] a product
 * of `NAME.lora.down` [..., in, rank], normal of std 1 / rank, and `NAME.lora.up` [rank, out], zero: the network starts as
 * it was. Throws a usage failure for a target that is no group, and a pattern that matches nothing.
 */
export function initAdapter(options: {
  weights: Weights;
  adapter: Adapter;
  groups: Readonly<Record<string, RegExp>>;
  seed: number;
}): Adapted<Weights> {
  const { weights, adapter, groups, seed } = options;
  if (adapter === "all") return { trained: weights, frozen: {} };
  if ("only" in adapter) {
    const chosen = new Set(selected(adapter.only, { names: Object.keys(weights), groups, what: "parameter" }));
    const part = (isChosen: boolean): Weights =>
      Object.fromEntries(Object.entries(weights).filter(([name]) => chosen.has(name) === isChosen));
    return { trained: part(true), frozen: part(false) };
  }
  const { rank, targets } = adapter.lora;
  const kernels = kernelsOf(Object.keys(weights));
  const init = createInitialiser(seed);
  for (const name of selected(targets, { names: kernels, groups, what: "kernel" })) {
    const { shape } = weights[name] as Weights[string];
    init.normal(name + DOWN, [...shape.slice(0, -1), rank], 1 / rank);
    init.constant(name + UP, [rank, shape.at(-1) as number]);
  }
  return { trained: init.weights, frozen: weights };
}

/** The names that some of the targets choose, in their own order. */
function selected(targets: readonly string[], { names, groups, what }: Choice): string[] {
  const wrong = targetProblem(targets, { names, groups, what });
  if (wrong) throw badUsage(`Cannot train "${wrong.target}": ${wrong.problem}`);
  const patterns = targets.map((target) => patternOf(target, groups) as RegExp);
  return names.filter((name) => patterns.some((pattern) => pattern.test(name)));
}

interface Choice {
  names: readonly string[];
  groups: Readonly<Record<string, RegExp>>;
  what: "parameter" | "kernel";
}

/** The first target that is neither a group nor a pattern, or that matches nothing, and what is wrong with it. */
function targetProblem(targets: readonly string[], { names, groups, what }: Choice): { target: string; problem: string } | undefined {
  for (const target of targets) {
    const pattern = patternOf(target, groups);
    if (!pattern) return { target, problem: `it is neither a group nor a regular expression; ${choices(groups)}` };
    if (!names.some((name) => pattern.test(name))) return { target, problem: `it matches no ${what} of this network; ${choices(groups)}` };
  }
  return undefined;
}

/** What is wrong with an adapter for a network whose parameters have these names: the end of a sentence; undefined where it fits. */
export function adapterProblem(adapter: Adapter, { names, groups }: Omit<Choice, "what">): string | undefined {
  if (adapter === "all") return undefined;
  const wrong =
    "only" in adapter
      ? targetProblem(adapter.only, { names, groups, what: "parameter" })
      : targetProblem(adapter.lora.targets, { names: kernelsOf(names), groups, what: "kernel" });
  return wrong && `"${wrong.target}" trains nothing: ${wrong.problem}`;
}

const kernelsOf = (names: readonly string[]): string[] => names.filter((name) => name.endsWith(".kernel"));

function patternOf(target: string, groups: Readonly<Record<string, RegExp>>): RegExp | undefined {
  if (Object.hasOwn(groups, target)) return groups[target];
  try {
    return new RegExp(target);
  } catch {
    return undefined;
  }
}

const choices = (groups: Readonly<Record<string, RegExp>>): string =>
  `name a group (${Object.keys(groups).join(", ")}) or a pattern of parameter names`;

/** What trains all but these groups: all where a network has none of them. */
export function exceptGroups(frozen: readonly string[], groups: Readonly<Record<string, RegExp>>): Adapter {
  const patterns = frozen.flatMap((name) => (groups[name] ? [groups[name].source] : []));
  return patterns.length === 0 ? "all" : { only: [`^(?!.*(?:${patterns.join("|")}))`] };
}

/**
 * Full parameters of the network, a pure traced function. Kernels with a LoRA are W + alpha / rank * down up, made when somebody
 * asks; layers ask for W and the factors alone ({@link throughKernel}).
 */
export function effective({ trained, frozen, adapter }: Adapted<Parameters> & { adapter: Adapter }): Parameters {
  if (adapter === "all") return trained;
  if ("only" in adapter) return { ...frozen, ...trained };
  const { rank, alpha } = adapter.lora;
  const full = { ...frozen };
  for (const name of adaptedKernels(trained)) {
    const kernel = parameter(frozen, name);
    const down = parameter(trained, name + DOWN);
    const up = tf.mul(parameter(trained, name + UP), alpha / rank) as Tensor;
    const whole = (): Tensor => tf.add(kernel, tf.reshape(tf.matMul(tf.reshape(down, [-1, rank]), up as never), kernel.shape));
    Object.defineProperty(full, name, { get: whole, enumerable: true });
    Object.assign(full, { [name + BASE]: kernel, [name + DOWN]: down, [name + UP]: up });
  }
  return full;
}

/** The same on the host: weights that need no adapter any more. */
export function merge({ trained, frozen, adapter }: Adapted<Weights> & { adapter: Adapter }): Weights {
  if (adapter === "all") return trained;
  if ("only" in adapter) return { ...frozen, ...trained };
  return addLoras(frozen, [{ trained, scale: adapter.lora.alpha / adapter.lora.rank }]);
}

/** What was frozen, from merged weights and what was trained: {@link merge} undone, up to rounding (1e-6 of a kernel's largest value). */
export function unmerge({ merged, trained, adapter }: { merged: Weights; trained: Weights; adapter: Adapter }): Weights {
  if (adapter === "all") return {};
  if ("only" in adapter) return Object.fromEntries(Object.entries(merged).filter(([name]) => !trained[name]));
  return addLoras(merged, [{ trained, scale: -adapter.lora.alpha / adapter.lora.rank }]);
}
