/**
 * The denoising network as a whole, of whatever family: its weights, its condition inputs and its forward pass, from the
 * specification that a run folder stores. Teacher and student are both this.
 */
import type { Tensor } from "../engine/tfjs.ts";
import { copyWeights, type Shapes, type Weights } from "../engine/weights.ts";
import { badUsage } from "../schemas/failure.ts";
import type { DenoiserSpec } from "../schemas/model.ts";
import { type Embedded, type InputShapes, joinedEmbedded } from "./encoders/encoder.ts";
import { conditionColumns } from "./encoders/own.ts";
import type { Hooks } from "./families/family.ts";
import { controlledWeights } from "./families/controlled.ts";
import { familyOf } from "./families/registry.ts";
import { twice } from "./families/stacked.ts";
import type { Parameters } from "./layers.ts";

export type { DenoiserSpec, Embedded };

/** Initial weights of the network and its encoders. Throws a Failure for a family that has none. */
export function initDenoiser(spec: DenoiserSpec, seed: number): Weights {
  const { name, init, encoders } = familyOf(spec);
  if (!init) throw badUsage(`Cannot start a network of kind "${name}" from nothing: name the folder of published weights instead`);
  return Object.assign(init(seed), ...encoders.map((encoder) => encoder.init?.(seed)));
}

/**
 * The weights of a network that is a smaller one and more, such as a teacher with the guidance scale as a further input: the
 * smaller one's weights, and what is new as {@link initDenoiser} begins it. Throws where they are not part of such a network.
 */
export function extended(spec: DenoiserSpec, weights: Weights, seed: number): Weights {
  const fresh = initDenoiser(spec, seed);
  for (const [name, { shape }] of Object.entries(weights)) {
    if (String(fresh[name]?.shape) === String(shape)) continue;
    const own = fresh[name] ? `[${fresh[name].shape.join(", ")}]` : "none of that name";
    throw new Error(`Cannot extend a network by its weights: "${name}" has the shape [${shape.join(", ")}], and the larger network ${own}`);
  }
  return { ...fresh, ...weights };
}

/** The weights of a network with a control branch which starts as the one that it controls, whose weights are given. */
export function withControl(spec: DenoiserSpec, weights: Weights, seed: number): Weights {
  const { control: _, ...network } = spec.network;
  return controlledWeights(familyOf({ ...spec, network }), spec, weights, seed);
}

/** Whether the guidance scale is an input of the network; others are guided by two predictions (diffusion/guidance.ts). */
export function takesGuidance(spec: DenoiserSpec): boolean {
  return familyOf(spec).conditions.guidance === true;
}

/** The names and shapes of the network's parameters, its encoders' among them; undefined for a family of published weights alone. */
export function denoiserLayout(spec: DenoiserSpec): Shapes | undefined {
  return familyOf(spec).init && initDenoiser(spec, 0); // no element is drawn before it is read
}

/** Declarations of a program's condition inputs. `keep` [batch] is 1 where the condition holds and 0 where it is dropped. */
export function conditionInputs(spec: DenoiserSpec, batch: number): InputShapes {
  const inputs: InputShapes = Object.assign({}, ...familyOf(spec).encoders.map((encoder) => encoder.inputs(batch)));
  return Object.keys(inputs).length > 0 ? { ...inputs, keep: { shape: [batch] } } : {};
}

/** The conditions as the network reads them, from the inputs that {@link conditionInputs} declares. */
export function embedConditions(spec: DenoiserSpec, parameters: Parameters, inputs: Record<string, Tensor>): Embedded {
  return joinedEmbedded(familyOf(spec).encoders.map((encoder) => encoder.encode(parameters, inputs)));
}

/** The raw network F: x [b, h, w, c], noiseLevel c_noise [b], condition as {@link embedConditions} makes it -> [b, h, w, c]. */
export function applyNetwork(
  spec: DenoiserSpec,
  parameters: Parameters,
  { condition, ...at }: { x: Tensor; noiseLevel: Tensor; condition?: Embedded },
  hooks?: Hooks,
): Tensor {
  return familyOf(spec).apply(parameters, { ...at, ...condition }, hooks);
}

/** The names of the classes that a network is conditioned on; none where it reads no labels. */
export function labelsOf({ network, classes }: Pick<DenoiserSpec, "network" | "classes">): string[] {
  return conditionColumns(network).includes("label") ? classes : [];
}

/** Length of the vector by which rows are conditioned, which heads over other features read too; 0: there is none. */
export function conditionWidth(spec: DenoiserSpec): number {
  const { encoders, conditions } = familyOf(spec);
  return encoders.length > 0 ? (conditions.vector?.[0] ?? 0) : 0;
}

/** The weights of the network's encoders alone. */
export function encoderWeights(spec: DenoiserSpec, weights: Weights): Weights {
  const patterns = familyOf(spec).encoders.flatMap(({ parameters }) => parameters ?? []);
  return Object.fromEntries(Object.entries(weights).filter(([name]) => patterns.some((pattern) => pattern.test(name))));
}

/** A stack of two networks that both begin as this one (families/stacked.ts), for a specification with `network.stack`. */
export function stackedWeights(spec: DenoiserSpec, weights: Weights): Weights {
  const shared = encoderWeights(spec, weights);
  const own = Object.fromEntries(Object.entries(weights).filter(([name]) => !Object.hasOwn(shared, name)));
  return { ...twice({ first: own, second: copyWeights(own) }), ...shared };
}

/** The named groups of a network's parameters, its encoders' among them: what LoRA and freezing select. */
export function parameterGroups(spec: DenoiserSpec): Record<string, RegExp> {
  const { groups, encoders } = familyOf(spec);
  return { ...groups, ...Object.fromEntries(encoders.flatMap(({ name, parameters }) => (parameters ? [[name, parameters]] : []))) };
}
