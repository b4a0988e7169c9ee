/**
 * A published network as a family of this house: its config.json stands in `network.published`, and what it predicts in its first
 * channels; a variance that it has learned besides is passed over, for no deterministic sampler reads it.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { TextShape } from "../../schemas/embedding.ts";
import { badUsage, Failure } from "../../schemas/failure.ts";
import type { DenoiserSpec } from "../../schemas/model.ts";
import type { TextSettings } from "../../schemas/settings.ts";
import { classesEncoder } from "../encoders/classes.ts";
import { scaleEncoder } from "../encoders/guidance.ts";
import { publishedTextEncoder } from "../encoders/published-text.ts";
import type { Parameters } from "../layers.ts";
import type { BoundNetwork, PublishedDenoiser } from "../published/network.ts";
import { publishedNetwork } from "../published/registry.ts";
import { publishedText } from "../text/published-text.ts";
import type { Family, FamilyInputs, Hooks } from "./family.ts";

interface PublishedConfig {
  network: BoundNetwork;
  denoiser: PublishedDenoiser;
  /** Of the latents. */
  shape: readonly [number, number, number];
  /** [height, width] of the pictures. */
  pixels: readonly [number, number];
  /** Of a network that reads texts. */
  text?: TextShape;
}

/** The published network of settings. Throws a Failure where its config is none of a denoiser. */
function denoiserOf({ published: json = {} }: DenoiserSpec["network"]): Pick<PublishedConfig, "network" | "denoiser"> {
  const network = publishedNetwork({ json, file: "network.published" });
  const { denoiser } = network;
  if (denoiser) return { network, denoiser };
  throw new Failure("Cannot denoise with the network of network.published: it is no denoiser, or cannot serve as a teacher yet.");
}

function configOf({ network, shape }: Pick<DenoiserSpec, "network" | "shape">): PublishedConfig {
  const [height, width] = shape;
  const found = denoiserOf(network);
  const text = network.text && textShape(found.denoiser, network.text);
  return { ...found, shape, pixels: network.pixels ?? [height, width], ...(text && { text }) };
}

/** What a network of this specification reads of a text that is embedded before it comes to it; undefined where it reads none. */
export const textShapeOf = (spec: DenoiserSpec): TextShape | undefined => (spec.network.published ? configOf(spec).text : undefined);

/** What a denoiser reads of a text that the pipeline embeds so. Throws a Failure for a pipeline that is not known. */
function textShape({ conditions: { text } }: PublishedDenoiser, { pipeline, lengths }: TextSettings): TextShape | undefined {
  if (!text) return undefined;
  const side = publishedText(pipeline);
  if (!side) throw new Failure(`Cannot give texts to the network of network.published: "${pipeline}" is no pipeline that is known here.`);
  return { length: side.length(lengths), width: text.width, isMasked: text.isMasked ?? false, pooled: text.pooled ?? 0 };
}

/** x [b, h, w, c], noiseLevel [b] and conditions -> [b, h, w, c], or the features of the place where `hooks` ends. */
function apply(
  { network, denoiser, shape, pixels }: PublishedConfig,
  parameters: Parameters,
  inputs: FamilyInputs,
  hooks: Hooks = {},
): Tensor {
  const answer = network.forward(parameters, denoiser.inputs({ ...inputs, pixels }), denoiser.call, hooks) as { out: Tensor };
  if (hooks.last !== undefined) return answer.out;
  const out = denoiser.output?.(answer.out, inputs.x) ?? answer.out;
  const channels = shape[2];
  return out.shape[3] === channels ? out : tf.slice(out, [0, 0, 0, 0], [-1, -1, -1, channels]);
}

export const published = {
  name: "published",
  config: configOf,
  apply,
  conditions: ({ denoiser: { conditions }, text }) => ({
    ...(conditions.classes && { classes: conditions.classes }),
    ...(conditions.guidance && { guidance: conditions.guidance }),
    ...(text && { sequences: [{ tokens: [text.length, text.width], isMasked: text.isMasked }] }),
    ...(text?.pooled && { vector: [text.pooled] }),
  }),
  encoders: (spec) => {
    const { denoiser, text } = configOf(spec);
    const { classes, guidance } = denoiser.conditions;
    return [
      ...(classes ? [classesEncoder(classes)] : []),
      ...(text ? [publishedTextEncoder(text)] : []),
      ...(guidance ? [scaleEncoder()] : []),
    ];
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
  trunk: ({ denoiser, shape }, options) => {
    const why = options.scales.map(denoiser.trunkLimits(shape).why).find((reason) => reason !== undefined);
    if (why) throw badUsage(`Cannot discriminate with the teacher's network at the scales ${options.scales.join(", ")}: ${why}`);
    return denoiser.trunk({ ...options, shape });
  },
  trunkLimits: ({ network, shape }) => ({ setting: "network.kind", ...denoiserOf(network).denoiser.trunkLimits(shape) }),
} satisfies Family<PublishedConfig>;
