/**
 * Projected GAN's discriminator (Sauer et al. 2021; D2O, docs/METHODS.md 3.4) over any number of frozen networks: their maps, mixed by
 * fixed random kernels, are judged by small heads of their own, conditioned on class or caption by projection. With the frozen
 * teacher among them, shown latents under noise, it is LADD's (9.9).
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { conditionWidth, type DenoiserSpec, embedConditions, encoderWeights } from "../denoiser.ts";
import { createInitialiser } from "../initialise.ts";
import { type Parameters, sinusoidal } from "../layers.ts";
import type { Adapter } from "../training/adapters.ts";
import type { FrozenNetwork, Shown } from "./frozen.ts";
import { applyHeads, initHeads } from "./heads.ts";
import { initMixing, MIXING, mixed, type Mixing } from "./mixing.ts";

export interface ProjectedCritic {
  /** Roles of the frozen networks that it reads. */
  roles: string[];
  /** What of its part is trained: all but the fixed kernels. */
  train: Adapter;
  /** Initial weights, the condition's embedding being the teacher's. */
  init: (teacher: Weights, seed: number) => Weights;
  /** What heads read of latents, a map each: `read` are the frozen networks' parameters by role. */
  maps: (parameters: Parameters, shown: Shown, read: Record<string, Parameters>) => Tensor[];
  /** Logits of those maps, two heads each: [b, positions] and [b, 1]. */
  judge: (parameters: Parameters, maps: readonly Tensor[], told: Omit<Shown, "x">) => Tensor[];
  /** Logits of latents: {@link judge} of {@link maps}. */
  logits: (parameters: Parameters, shown: Shown, read: Record<string, Parameters>) => Tensor[];
}

/** Channels of a head, and of the mixed maps. */
const WIDTH = 64;
/** Length of what heads are told of a noise level. */
const LEVEL = 32;

/**
 * A critic over frozen networks. `isDisturbed` says that latents are shown under noise, of whose level the heads over a network that
 * sees it are told; every logit is a scalar function of its own row.
 */
export function createProjectedCritic(options: {
  spec: DenoiserSpec;
  networks: readonly FrozenNetwork[];
  mixing: Mixing;
  isDisturbed?: boolean;
  width?: number;
}): ProjectedCritic {
  const { spec, networks, mixing, isDisturbed = false, width = WIDTH } = options;
  const headsOf = networks.flatMap(({ name, channels, isTold }) =>
    channels.map((own, map) => ({
      name: `heads.${name}.${map}`,
      channels: mixing === "none" ? own : width,
      isTold: isTold && isDisturbed,
    })),
  );
  const vectorWidth = conditionWidth(spec);

  const maps: ProjectedCritic["maps"] = (parameters, shown, read) =>
    networks.flatMap(({ name, maps: of }) => mixed(parameters, name, of(read, shown), mixing));
  const judge: ProjectedCritic["judge"] = (parameters, given, { given: conditions = {}, disturbance }) => {
    const vector = vectorWidth > 0 ? embedConditions(spec, parameters, conditions).vector : undefined;
    const level = disturbance && sinusoidal(disturbance.cNoise, LEVEL);
    return headsOf.flatMap(({ name, isTold }, i) => {
      const told = [vector, isTold ? level : undefined].filter((part) => part !== undefined);
      const condition = told.length > 1 ? tf.concat(told, 1) : told[0];
      return applyHeads(parameters, name, { map: given[i] as Tensor, condition });
    });
  };
  return {
    roles: [...new Set(networks.flatMap(({ roles }) => roles))],
    train: mixing === "none" ? "all" : { only: [`^(?!${MIXING.replace(".", "\\.")})`] },
    init: (teacher, seed) => {
      const init = createInitialiser(seed);
      for (const { name, channels, isTold } of headsOf) {
        initHeads(init, name, { channels, width, condition: vectorWidth + (isTold ? LEVEL : 0) });
      }
      const fixed = networks.map(({ name, channels }) => initMixing({ name, channels, mixing, width, seed }));
      return Object.assign({ ...encoderWeights(spec, teacher), ...init.weights }, ...fixed);
    },
    maps,
    judge,
    logits: (parameters, shown, read) => judge(parameters, maps(parameters, shown, read), shown),
  };
}
