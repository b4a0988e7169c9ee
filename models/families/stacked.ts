/**
 * Two networks of one family in series without shared weights (InstaFlow-1.7B, Liu et al. 2024, section 4; docs/METHODS.md
 * 4.3), as one network: the second reads the first one's clean prediction again, as a state under little noise, and refines it.
 *
 *     clean1 = D1(x; sigma)      clean = D2(clean1; low),  low = min(sigma, sigmaData / 4)
 *
 * Both start as the teacher, so the stack starts as a generator of what it makes in one step, slightly denoised once more. Its
 * parameters are "first.NAME" and "second.NAME"; conditions are embedded once for both. Its places are the same names with places.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import type { DenoiserSpec } from "../../schemas/model.ts";
import { tensors } from "../diffusion/arithmetic.ts";
import { denoise } from "../diffusion/denoise.ts";
import { createParameterisation } from "../diffusion/parameterisation.ts";
import { type Parameters, spread } from "../layers.ts";
import type { BoundFamily, FamilyInputs, Hooks } from "./family.ts";

/** The two networks, in the order of their passes. */
const PARTS = ["first", "second"] as const;
type StackPart = (typeof PARTS)[number];

/** The noise level at which the second network reads, over sigmaData. */
const LOW = 1 / 4;

/** A family's network twice in series; `spec` is the whole one's. Its passes go as deep as twice the single one's. */
export function stacked({ name, init, encoders, conditions, groups, features, ...single }: BoundFamily, spec: DenoiserSpec): BoundFamily {
  const { diffusion, shape } = spec;
  const { precondition, sigmaOf, sigmaMax } = createParameterisation(diffusion);

  const apply = (parameters: Parameters, { x, noiseLevel, ...embedded }: FamilyInputs, hooks: Hooks = {}): Tensor => {
    const sigma = tf.minimum(sigmaOf(noiseLevel, tensors), sigmaMax) as Tensor;
    const coefficients = precondition(sigma, tensors);
    const network = (part: StackPart) => (at: { x: Tensor; noiseLevel: Tensor }) => {
      const out = single.apply(ownOf(parameters, part), { ...at, ...embedded }, hooksOf(hooks, part));
      return single.learnsSigma ? tf.slice(out, [0, 0, 0, 0], [-1, -1, -1, shape[2]]) : out;
    };
    if (hooks.last?.startsWith("first.")) return network("first")({ x, noiseLevel });
    const state = tf.div(x, spread(coefficients.cIn));
    const first = denoise({ x: state, coefficients, network: network("first") });
    const low = tf.minimum(sigma, LOW * diffusion.sigmaData) as Tensor;
    const again = precondition(low, tensors);
    if (hooks.last !== undefined) return network("second")({ x: tf.mul(first, spread(again.cIn)), noiseLevel: again.cNoise });
    const clean = denoise({ x: first, coefficients: again, network: network("second") });
    return tf.div(tf.sub(clean, tf.mul(state, spread(coefficients.cSkip))), spread(coefficients.cOut));
  };

  return {
    name,
    ...(init && { init: (seed) => twice({ first: init(seed), second: init(seed + 1) }) }),
    apply,
    learnsSigma: false,
    conditions,
    encoders,
    groups: {
      ...Object.fromEntries(Object.entries(groups).map(([group, pattern]) => [group, inEither(pattern)])),
      ...Object.fromEntries(PARTS.map((part) => [part, new RegExp(`^${part}\\.`)])),
    },
    features: PARTS.flatMap((part) => features.map((place) => `${part}.${place}`)),
  };
}

/** Weights of a stack of two networks. */
export function twice(networks: Readonly<Record<StackPart, Weights>>): Weights {
  return Object.fromEntries(
    PARTS.flatMap((part) => Object.entries(networks[part]).map(([name, tensor]) => [`${part}.${name}`, tensor] as const)),
  );
}

/** The parameters of one of the two, by the family's own names. */
function ownOf(parameters: Parameters, part: StackPart): Parameters {
  const start = `${part}.`;
  return Object.fromEntries(
    Object.entries(parameters).flatMap(([name, value]) => (name.startsWith(start) ? [[name.slice(start.length), value]] : [])),
  );
}

function hooksOf({ tap, inject, last }: Hooks, part: StackPart): Hooks {
  const start = `${part}.`;
  return {
    ...(tap && { tap: (place: string, features: Tensor) => tap(start + place, features) }),
    ...(inject && { inject: (place: string, features: Tensor) => inject(start + place, features) }),
    ...(last?.startsWith(start) && { last: last.slice(start.length) }),
  };
}

/** A pattern over a family's own names as one over those of a stack: where it asks for the beginning, that of either part. */
function inEither({ source, flags }: RegExp): RegExp {
  return new RegExp(source.replace(/(?<![\\[])\^/g, "^(?:first|second)\\."), flags);
}
