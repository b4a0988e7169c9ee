/** Frozen networks that a discriminator's heads look through: each makes maps of latents at several scales, the finest first. */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { applyNetwork, conditionInputs, type DenoiserSpec, embedConditions } from "../denoiser.ts";
import { familyOf, trunkLimits } from "../families/registry.ts";
import { decodedImages } from "../codecs/decoded.ts";
import type { FeatureDescription } from "../features/network.ts";
import { parametersAt, tracedFeatures } from "../features/traced.ts";
import { downsample, type Parameters } from "../layers.ts";
import { type PerceptualConfig, perceptualTaps } from "../losses/perceptual.ts";
import { type Disturbance, notATrunk, shown } from "./discriminator.ts";

/** How latents become images. */
type Decoding = globalThis.Parameters<typeof decodedImages>[0];

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
  /** Names the heads over it. */
  name: string;
  /** The roles of its parameters. */
  roles: readonly string[];
  /** Channels of each of its maps. */
  channels: readonly number[];
  /** Maps [b, h', w', channels] of what is shown, none finer than the one before it; `read` are the roles' parameters, which stay as they are. */
  maps: (read: Readonly<Record<string, Parameters>>, shown: Shown) => Tensor[];
  /** Whether its maps tell the level of a disturbance, of which heads are then told too. */
  isTold: boolean;
}

/** The network of `pretrain perceptual`: a map after each of its stages. */
export function frozenPerceptual(config: PerceptualConfig): FrozenNetwork {
  return {
    name: "perceptual",
    roles: ["perceptual"],
    channels: Array.from({ length: config.stages }, (_, stage) => config.width * 2 ** stage),
    maps: ({ perceptual }, { x }) => perceptualTaps(config, perceptual as Parameters, x),
    isTold: false,
  };
}

/** Frozen image networks (role "features"), each over the images that the frozen codec (role "codec") decodes latents to. */
export function frozenImages(options: {
  networks: readonly FeatureDescription[];
  codec: Decoding["codec"];
  statistics: Decoding["statistics"];
  sigmaData: number;
}): FrozenNetwork[] {
  const { networks, ...decoding } = options;
  const decode = decodedImages(decoding);
  return networks.map((description, i) => {
    const features = tracedFeatures(description);
    return {
      name: `images${i}`,
      roles: ["features", "codec"],
      channels: description.maps.map(({ channels }) => channels),
      maps: (read, { x }) => features(parametersAt(read.features as Parameters, i), decode(read.codec as Parameters, x)),
      isTold: false,
    };
  });
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
    name: "teacher",
    roles: ["teacher"],
    channels: heads.map(({ channels }) => channels),
    maps: ({ teacher }, { x, disturbance, given }) => {
      const parameters = teacher as Parameters;
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
