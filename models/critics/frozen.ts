/** Frozen networks that a discriminator's heads look through: each makes maps of latents at several scales, the finest first. */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { applyNetwork, conditionInputs, type DenoiserSpec, embedConditions } from "../denoiser.ts";
import { familyOf, trunkLimits } from "../families/registry.ts";
import { downsample, type Parameters } from "../layers.ts";
import { type PerceptualConfig, perceptualTaps } from "../losses/perceptual.ts";
import { type Disturbance, notATrunk, shown } from "./discriminator.ts";

/** What a frozen network is shown of a batch. */
export interface Shown {
  /** Clean latents [b, h, w, c]. */
  x: Tensor;
  /** Noise under which the teacher sees them, as in LADD; the perceptual network sees them clean. */
  disturbance?: Disturbance;
  /** Condition inputs, as `conditionInputs` declares them; without them the teacher sees no condition. */
  given?: Record<string, Tensor>;
}

export interface FrozenNetwork {
  /** Names the heads over it, and the role of its parameters. */
  role: string;
  /** Channels of each of its maps. */
  channels: readonly number[];
  /** Maps [b, h', w', channels] of what is shown, none finer than the one before it; `parameters` are the role's, which stay as they are. */
  maps: (parameters: Parameters, shown: Shown) => Tensor[];
  /** Whether its maps tell the level of a disturbance, of which heads are then told too. */
  isTold: boolean;
}

/** The network of `pretrain perceptual`: a map after each of its stages. */
export function frozenPerceptual(config: PerceptualConfig): FrozenNetwork {
  return {
    role: "perceptual",
    channels: Array.from({ length: config.stages }, (_, stage) => config.width * 2 ** stage),
    maps: (parameters, { x }) => perceptualTaps(config, parameters, x),
    isTold: false,
  };
}

/**
 * The frozen teacher (Projected GAN's idea with LADD's network, docs/METHODS.md 9.9): the maps after its first `depth` blocks where its
 * family may be cut, around the last skip of each level where it is a U-Net. Throws a usage failure for a family that is no trunk.
 */
export function frozenTeacher(spec: DenoiserSpec, { depth }: { depth: number }): FrozenNetwork {
  const limits = trunkLimits({ network: spec.network, shape: spec.shape });
  const isCut = limits?.depth !== undefined;
  const scales = isCut ? [1] : [1, 2, 4].filter((scale) => limits?.why(scale) === undefined);
  const trunk = familyOf(spec).trunk?.({ depth, scales });
  if (!trunk) throw notATrunk(familyOf(spec).name);
  const { heads, last, map } = trunk;
  return {
    role: "teacher",
    channels: heads.map(({ channels }) => channels),
    maps: (parameters, { x, disturbance, given }) => {
      const condition = embedConditions(spec, parameters, given ?? dropped(spec, x.shape[0] as number));
      const maps = new Map<string, Tensor>();
      const tap = (place: string, features: Tensor): void => {
        if (heads.some((head) => head.place === place)) maps.set(place, map(features));
      };
      applyNetwork(spec, parameters, { ...shown(spec, x, disturbance), condition }, { tap, last });
      return heads.map(({ place, shrink }) => {
        const features = maps.get(place) as Tensor;
        return shrink === 1 ? features : downsample(features, shrink);
      });
    },
    isTold: true,
  };
}

/** Condition inputs of rows whose conditions are dropped. */
function dropped(spec: DenoiserSpec, batch: number): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(conditionInputs(spec, batch)).map(([name, { shape, dtype }]) => [name, tf.zeros(shape, dtype)]));
}
