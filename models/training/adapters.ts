/**
 * Which part of a network is trained: all of it, some parameters, or low-rank additions to some kernels (LoRA, Hu et al.
 * 2021). One pure function stands in front of a family's `apply` and answers full parameters from the trained and the
 * frozen ones, so that neither network nor loss knows what is trained.
 */
import * as z from "zod";
import { tf } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { badUsage } from "../../schemas/failure.ts";
import { createInitialiser } from "../initialise.ts";
import { type Parameters, parameter } from "../layers.ts";

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

const DOWN = ".lora.down";
const UP = ".lora.up";

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
  const kernels = Object.keys(weights).filter((name) => name.endsWith(".kernel"));
  const init = createInitialiser(seed);
  for (const name of selected(targets, { names: kernels, groups, what: "kernel" })) {
    const { shape } = weights[name] as Weights[string];
    init.normal(name + DOWN, [...shape.slice(0, -1), rank], 1 / rank);
    init.constant(name + UP, [rank, shape.at(-1) as number]);
  }
  return { trained: init.weights, frozen: weights };
}

/** The names that some of the targets choose, in their own order. */
function selected(
  targets: readonly string[],
  { names, groups, what }: { names: readonly string[]; groups: Readonly<Record<string, RegExp>>; what: string },
): string[] {
  const patterns = targets.map((target) => {
    const pattern = Object.hasOwn(groups, target) ? (groups[target] as RegExp) : patternOf(target, groups);
    if (names.some((name) => pattern.test(name))) return pattern;
    throw badUsage(`Cannot train "${target}": it matches no ${what} of this network; ${choices(groups)}`);
  });
  return names.filter((name) => patterns.some((pattern) => pattern.test(name)));
}

function patternOf(target: string, groups: Readonly<Record<string, RegExp>>): RegExp {
  try {
    return new RegExp(target);
  } catch {
    throw badUsage(`Cannot train "${target}": it is neither a group nor a regular expression; ${choices(groups)}`);
  }
}

const choices = (groups: Readonly<Record<string, RegExp>>): string =>
  `name a group (${Object.keys(groups).join(", ")}) or a pattern of parameter names`;

/** What trains all but these groups: all where a network has none of them. */
export function exceptGroups(frozen: readonly string[], groups: Readonly<Record<string, RegExp>>): Adapter {
  const patterns = frozen.flatMap((name) => (groups[name] ? [groups[name].source] : []));
  return patterns.length === 0 ? "all" : { only: [`^(?!.*(?:${patterns.join("|")}))`] };
}

/** Full parameters of the network, a pure traced function: W + alpha / rank * down up for the kernels with a LoRA. */
export function effective({ trained, frozen, adapter }: Adapted<Parameters> & { adapter: Adapter }): Parameters {
  if (adapter === "all") return trained;
  if ("only" in adapter) return { ...frozen, ...trained };
  const { rank, alpha } = adapter.lora;
  const full = { ...frozen };
  for (const name of adaptedKernels(trained)) {
    const kernel = parameter(frozen, name);
    const product = tf.matMul(tf.reshape(parameter(trained, name + DOWN), [-1, rank]), parameter(trained, name + UP));
    full[name] = tf.add(kernel, tf.mul(tf.reshape(product, kernel.shape), alpha / rank));
  }
  return full;
}

/** The same on the host: weights that need no adapter any more. */
export function merge({ trained, frozen, adapter }: Adapted<Weights> & { adapter: Adapter }): Weights {
  if (adapter === "all") return trained;
  if ("only" in adapter) return { ...frozen, ...trained };
  return shifted({ weights: frozen, trained, scale: adapter.lora.alpha / adapter.lora.rank });
}

/** What was frozen, from merged weights and what was trained: {@link merge} undone, up to rounding (1e-6 of a kernel's largest value). */
export function unmerge({ merged, trained, adapter }: { merged: Weights; trained: Weights; adapter: Adapter }): Weights {
  if (adapter === "all") return {};
  if ("only" in adapter) return Object.fromEntries(Object.entries(merged).filter(([name]) => !trained[name]));
  return shifted({ weights: merged, trained, scale: -adapter.lora.alpha / adapter.lora.rank });
}

/** The kernels that a LoRA adds to. */
function adaptedKernels(trained: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(trained).flatMap((name) => (name.endsWith(DOWN) ? [name.slice(0, -DOWN.length)] : []));
}

/** Weights with `scale` times each LoRA's product added, in float64 before rounding. */
function shifted({ weights, trained, scale }: { weights: Weights; trained: Weights; scale: number }): Weights {
  const full = { ...weights };
  for (const name of adaptedKernels(trained)) {
    const [kernel, down, up] = [weights[name], trained[name + DOWN], trained[name + UP]];
    if (!kernel || !down || !up) throw new Error(`Cannot merge a LoRA: it changes "${name}", which these weights lack`);
    const [rank, outputs] = up.shape as [number, number];
    const data = new Float32Array(kernel.data.length);
    for (let at = 0; at < data.length; at++) {
      const [row, column] = [Math.floor(at / outputs), at % outputs];
      let sum = 0;
      for (let k = 0; k < rank; k++) sum += (down.data[row * rank + k] as number) * (up.data[k * outputs + column] as number);
      data[at] = (kernel.data[at] as number) + scale * sum;
    }
    full[name] = { shape: [...kernel.shape], data };
  }
  return full;
}
