/**
 * A published network as a family of this house: its config.json stands in `network.published`, and what it predicts in its first
 * channels; a variance that it has learned besides is passed over, for no deterministic sampler reads it.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { Failure } from "../../schemas/failure.ts";
import type { DenoiserSpec } from "../../schemas/model.ts";
import { classesEncoder } from "../encoders/classes.ts";
import type { Parameters } from "../layers.ts";
import type { BoundNetwork, PublishedDenoiser } from "../published/network.ts";
import { publishedNetwork } from "../published/registry.ts";
import type { Family, FamilyInputs, Hooks } from "./family.ts";

interface PublishedConfig {
  network: BoundNetwork;
  denoiser: PublishedDenoiser;
  channels: number;
  /** [height, width] of the pictures. */
  pixels: readonly [number, number];
}

/** The published network of a specification. Throws a Failure where its config is none of a denoiser. */
function configOf({ network: { published: json = {}, pixels }, shape }: Pick<DenoiserSpec, "network" | "shape">): PublishedConfig {
  const network = publishedNetwork({ json, file: "network.published" });
  const [height, width, channels] = shape;
  const { denoiser } = network;
  if (denoiser) return { network, denoiser, channels, pixels: pixels ?? [height, width] };
  throw new Failure("Cannot denoise with the network of network.published: it is no denoiser, or cannot serve as a teacher yet.");
}

/** x [b, h, w, c], noiseLevel [b], label [b] -> [b, h, w, c], or the features of the place where `hooks` ends. */
function apply(
  { network, denoiser, channels, pixels }: PublishedConfig,
  parameters: Parameters,
  inputs: FamilyInputs,
  hooks: Hooks = {},
): Tensor {
  const given = denoiser.inputs({ ...inputs, pixels });
  let last: Tensor | undefined;
  const inject = (place: string, features: Tensor): Tensor => {
    const next = hooks.inject?.(place, features) ?? features;
    if (place === hooks.last) last = next;
    return next;
  };
  // What comes after the last place is traced in vain, and left out of the program because nobody reads it.
  const answer = network.forward(parameters, given, denoiser.call, { ...(hooks.tap && { tap: hooks.tap }), inject }) as { out: Tensor };
  if (last) return last;
  const out = denoiser.output?.(answer.out, inputs.x) ?? answer.out;
  return out.shape[3] === channels ? out : tf.slice(out, [0, 0, 0, 0], [-1, -1, -1, channels]);
}

export const published = {
  name: "published",
  config: configOf,
  apply,
  conditions: ({
    denoiser: {
      conditions: { classes, guidance },
    },
  }) => ({ ...(classes && { classes }), ...(guidance && { guidance }) }),
  encoders: (spec) => {
    const { classes } = configOf(spec).denoiser.conditions;
    return classes ? [classesEncoder(classes)] : [];
  },
  groups: ({ denoiser: { groups } }) => groups,
  features: ({ denoiser: { features } }) => [...features],
  rules: {
    idle: [
      {
        settings: ["network.patch", "network.width", "network.depth", "network.heads", "network.multipliers", "network.attentionLevels"],
        why: () => "a published network is as its config says (network.published)",
      },
    ],
  },
} satisfies Family<PublishedConfig>;
