/**
 * A frozen network with a control branch (ControlNet, Zhang et al. 2023; Layton's consistency decoder, docs/METHODS.md 8.2): a copy
 * of the network's trunk that also sees a map of codes, and whose features are added to the network's own at the same places
 * through layers that start at zero. Any family with a trunk can be controlled.
 */
import { type Tensor, tf } from "../../engine/tfjs.ts";
import { copyWeights, type Weights } from "../../engine/weights.ts";
import { Failure } from "../../schemas/failure.ts";
import type { DenoiserSpec } from "../../schemas/model.ts";
import { codesEncoder } from "../encoders/codes.ts";
import { createInitialiser } from "../initialise.ts";
import { conv, linear, type Parameters, silu, upsample } from "../layers.ts";
import type { BoundFamily, Trunk } from "./family.ts";

const BRANCH = "control.";
const NETWORK = `${BRANCH}network.`;
const ENTRANCE = `${BRANCH}entrance`;
/** Channels of the layers that read the codes, in turn. */
const HINT_WIDTHS = [32, 32];

const hintLayer = (index: number): string => `${BRANCH}hint.${index}`;
const exitLayer = (place: string): string => `${BRANCH}exit.${place}`;

/** The family of a network without control as that of one with it. */
export function controlled(base: BoundFamily, spec: DenoiserSpec): BoundFamily {
  const { control } = spec.network;
  const trunk = base.trunk?.({ depth: Number.POSITIVE_INFINITY, scales: [1] });
  if (!control || !trunk) throw new Failure(`Cannot control a network of kind "${base.name}": its family has no trunk to copy`);
  if (!base.init) {
    throw new Failure(
      `Cannot control a ${base.name} network: no branch is made beside such weights. Use a teacher of \`pipeline pretrain\`.`,
    );
  }
  const places = new Map(trunk.heads.map(({ place, channels }) => [place, channels]));
  const [height, , channels] = spec.shape;

  /** The map of codes [b, h', w', d] as a map of the latent's shape. */
  const hint = (parameters: Parameters, codes: Tensor): Tensor =>
    [...HINT_WIDTHS, channels].reduce<Tensor>(
      (x, _, i) => conv(parameters, hintLayer(i), i === 0 ? x : silu(x)),
      upsample(codes, height / control.height),
    );

  return {
    ...base,
    encoders: [...base.encoders, codesEncoder(control)],
    groups: { ...base.groups, control: /^control\./ },
    ...(base.init && {
      init: (seed) => {
        const own = (base.init as (seed: number) => Weights)(seed);
        return { ...own, ...branchOf(base, trunk, own), ...layersOf({ trunk, places, seed, inputs: control.dimension, channels }) };
      },
    }),
    apply: (parameters, { map, ...inputs }, hooks = {}) => {
      const branch = Object.entries(parameters).flatMap(([name, value]) =>
        name.startsWith(NETWORK) ? [[name.slice(NETWORK.length), value] as const] : [],
      );
      const seen = hint(parameters, map as Tensor);
      const features = new Map<string, Tensor>();
      base.apply(Object.fromEntries(branch), inputs, {
        tap: (place, of) => void (places.has(place) && features.set(place, of)),
        inject: (place, of) => (place === trunk.noise.place ? tf.add(of, trunk.noise.apply(parameters, ENTRANCE, seen)) : of),
        last: trunk.last,
      });
      const inject = (place: string, of: Tensor): Tensor => {
        const beside = features.get(place);
        const added = beside ? tf.add(of, linear(parameters, exitLayer(place), beside)) : of;
        return hooks.inject ? hooks.inject(place, added) : added;
      };
      return base.apply(parameters, inputs, { ...hooks, inject });
    },
  };
}

/**
 * Weights of a controlled network that starts as the one it controls: `weights` are those of the network, of which the branch
 * begins as a copy where they do not bring one of their own.
 */
export function controlledWeights(base: BoundFamily, spec: DenoiserSpec, weights: Weights, seed: number): Weights {
  const trunk = base.trunk?.({ depth: Number.POSITIVE_INFINITY, scales: [1] }) as Trunk;
  const fresh = controlled(base, spec).init?.(seed) ?? {};
  return { ...fresh, ...branchOf(base, trunk, weights), ...weights };
}

/** The copy of a network's trunk, under the branch's names. Conditions come to both as the network's own encoders make them. */
function branchOf({ encoders }: BoundFamily, trunk: Trunk, weights: Weights): Weights {
  const isOfEncoder = (name: string): boolean => encoders.some(({ parameters }) => parameters?.test(name));
  const used = Object.entries(weights).filter(([name]) => !name.startsWith(BRANCH) && trunk.uses(name) && !isOfEncoder(name));
  return Object.fromEntries(Object.entries(copyWeights(Object.fromEntries(used))).map(([name, tensor]) => [NETWORK + name, tensor]));
}

/** What the branch has besides the copy: layers that read the codes, and the ways in and out, which start at zero. */
function layersOf(options: { trunk: Trunk; places: ReadonlyMap<string, number>; seed: number; inputs: number; channels: number }): Weights {
  const { trunk, places, seed, inputs, channels } = options;
  const init = createInitialiser(seed);
  [...HINT_WIDTHS, channels].forEach((width, i) => init.conv(hintLayer(i), 3, i === 0 ? inputs : (HINT_WIDTHS[i - 1] as number), width));
  trunk.noise.init(init, ENTRANCE);
  for (const [place, width] of places) init.linear(exitLayer(place), width, width, { gain: 0 });
  return init.weights;
}
