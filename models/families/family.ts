/**
 * What a network family is: everything the rest of the program needs to build, run, look into and adapt one kind of
 * denoising network, in one object. A new kind of network is one file that exports such an object (docs/ADD-A-MODEL.md).
 */
import { endBlock } from "../../engine/marks.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import type { PlannedNetwork, Rules } from "../../schemas/fit.ts";
import type { DenoiserSpec } from "../../schemas/model.ts";
import type { Embedded, Encoder } from "../encoders/encoder.ts";
import type { Initialiser } from "../initialise.ts";
import type { Parameters } from "../layers.ts";

/** What a raw network is given: x [b, h, w, c], noiseLevel c_noise [b], and the conditions that its encoders made. */
export type FamilyInputs = { x: Tensor; noiseLevel: Tensor } & Embedded;

/**
 * Ways into a forward pass. Each family names its places; features are in the family's own layout there. At a place the
 * tap sees what the layers before have made, and `inject` answers what goes on to the layers after it, of the same shape.
 */
export interface Hooks {
  tap?: (place: string, features: Tensor) => void;
  inject?: (place: string, features: Tensor) => Tensor;
  /** Where the pass ends and answers that place's features. Parameters of later layers need not exist. */
  last?: string;
}

/** What a family may be conditioned on: the shape of each, without the batch. Room for more than today's families take. */
export interface ConditionShapes {
  /** One vector a row: a class, a caption as a whole, or pooled text features. */
  vector?: readonly [width: number];
  /** Token sequences for cross-attention, one for each text encoder. */
  sequences?: readonly { tokens: readonly [length: number, width: number]; isMasked: boolean }[];
  /** How many classes the network looks up itself. */
  classes?: number;
  /** Numbers about the picture, such as its original size and crop. */
  size?: readonly [count: number];
  /** Whether the guidance scale is an input of the network. */
  guidance?: boolean;
}

/** A way in for a map of latents [b, h, w, c], whose layer starts at zero: what it answers is added at `place`. */
export interface Entrance {
  /** The side of what it takes is the latent's divided by this. */
  scale: number;
  place: string;
  init: (init: Initialiser, name: string) => void;
  apply: (parameters: Parameters, name: string, map: Tensor) => Tensor;
}

/** Where a discriminator reads logits. */
export interface HeadPlace {
  /** Names the head's parameters. */
  name: string;
  place: string;
  /** The map read there is shrunk by this first. */
  shrink: number;
  /** Channels of the map, and of the head's hidden layer. */
  channels: number;
  width: number;
}

/** The way down to a network's innermost features: a discriminator's trunk with one logit. */
export interface Core {
  /** Where its pass ends, and the channels there. */
  last: string;
  channels: number;
  /** Whether it has the parameter of that name. */
  uses: (name: string) => boolean;
}

/** The part of a network that serves as a discriminator's trunk. */
export interface Trunk {
  /** The kernel of the first layer: weights without it are of another family. */
  first: string;
  /** Whether the trunk has the parameter of that name. */
  uses: (name: string) => boolean;
  /** Where its pass ends. */
  last: string;
  /** The way in of the paired noise, and those of resized copies of the latent, finest first. */
  noise: Entrance;
  copies: Entrance[];
  /** In the order in which their parameters are initialised; logits come in the order of the places. */
  heads: HeadPlace[];
  /** Features as the family has them, as a map [b, h, w, c]. */
  map: (features: Tensor) => Tensor;
  /** Of a trunk that goes on from its innermost features. */
  core?: Core;
}

/** A kind of denoising network; `C` is what it must know of a stored specification to build itself. */
export interface Family<C> {
  /** As `network.kind` in settings and model.json. */
  name: string;
  config: (spec: DenoiserSpec) => C;
  /**
   * Initial weights, whose names and shapes are those that a file of such weights must have; a family without it starts from
   * published weights alone.
   */
  init?: (config: C, seed: number) => Weights;
  /**
   * The raw network F, a traced function: [b, h, w, c], or [b, h, w, 2 c] where it `learnsSigma`. It stands once: whoever
   * wants features or adds to them comes in by `hooks`.
   */
  apply: (config: C, parameters: Parameters, inputs: FamilyInputs, hooks?: Hooks) => Tensor;
  /** Whether the second half of the output's channels is a variance, which a deterministic sampler passes over. */
  learnsSigma?: (config: C) => boolean;
  /** The conditions that `apply` takes. */
  conditions: (config: C) => ConditionShapes;
  /** What turns classes, captions and so on into those conditions. Class names and vocabularies are the data's: hence the spec. */
  encoders: (spec: DenoiserSpec) => Encoder[];
  /**
   * Parts of the network by their usual names, as patterns over parameter names: attention, conv, norm ... Among them `qkv`, what
   * decides who attends to whom, `skip`, the residual shortcuts' own layers where there are any, and `bulk`, the kernels inside
   * blocks that carry features on, about six sevenths of all weights.
   */
  groups: (config: C) => Record<string, RegExp>;
  /** Places whose features tell pictures apart: what a feature loss reads when the network serves as a frozen backbone. */
  features: (config: C) => string[];
  /** Which settings of `network` must fit each other and the latents, and which it does not read. */
  rules?: Rules<PlannedNetwork>;
  /** The network as a discriminator's trunk, of scales that {@link TrunkLimits} allow. */
  trunk?: (config: C, options: { depth: number; scales: readonly number[] }) => Trunk;
  /** What a trunk of such a network can be. */
  trunkLimits?: (planned: PlannedNetwork) => TrunkLimits;
}

/** Which trunks a network can serve as. */
export interface TrunkLimits {
  /** The setting that decides the scales. */
  setting: string;
  /** Why a scale is impossible and what to do, to end a sentence; undefined where it is possible, or not known yet. */
  why: (scale: number) => string | undefined;
  /** How many blocks it has to be cut from; undefined where it is always whole. */
  depth?: number;
}

/** A family whose config is filled in: what the rest of the program holds. */
export interface BoundFamily {
  name: string;
  init?: (seed: number) => Weights;
  apply: (parameters: Parameters, inputs: FamilyInputs, hooks?: Hooks) => Tensor;
  learnsSigma: boolean;
  conditions: ConditionShapes;
  encoders: Encoder[];
  groups: Record<string, RegExp>;
  features: string[];
  trunk?: (options: { depth: number; scales: readonly number[] }) => Trunk;
}

/** A family as a function of the specification alone: nobody outside its file sees its config. */
export function bound<C>(family: Family<C>): (spec: DenoiserSpec) => BoundFamily {
  const { name, init, trunk } = family;
  return (spec) => {
    const config = family.config(spec);
    return {
      name,
      ...(init && { init: (seed) => init(config, seed) }),
      apply: (parameters, inputs, hooks) => family.apply(config, parameters, inputs, hooks),
      learnsSigma: family.learnsSigma?.(config) ?? false,
      conditions: family.conditions(config),
      encoders: family.encoders(spec),
      groups: family.groups(config),
      features: family.features(config),
      ...(trunk && { trunk: (options) => trunk(config, options) }),
    };
  };
}

/** Features on their way past `place`, where a block ends: the tap sees them, and what `inject` answers goes on. */
export function passing({ tap, inject }: Hooks, place: string, features: Tensor): Tensor {
  endBlock();
  tap?.(place, features);
  return inject ? inject(place, features) : features;
}
