/**
 * The denoising network as a whole: a DiT or U-Net, its condition (class, caption or none), and the specification that
 * a run folder stores to build it again. Teacher and student are both this.
 */
import { tf, type Tensor } from "../engine/tfjs.ts";
import type { Weights } from "../engine/weights.ts";
import type { DiffusionSettings, NetworkSettings } from "../schemas/settings.ts";
import { applyDit, type DitConfig, initDit } from "./families/dit.ts";
import { createInitialiser } from "./initialise.ts";
import { type Parameters, parameter } from "./layers.ts";
import { applyTextEncoder, initTextEncoder, type TextEncoderConfig } from "./text/text-encoder.ts";
import { applyUnet, initUnet, type UnetConfig } from "./families/unet.ts";

export interface DenoiserSpec {
  /** Latent shape, [height, width, channels]. */
  shape: [number, number, number];
  network: NetworkSettings;
  diffusion: DiffusionSettings;
  /** Names of the classes; empty without class conditions. */
  classes: string[];
  /** Size of the tokenizer's vocabulary; 0 without caption conditions. */
  vocabulary: number;
}

export function ditConfig({ shape, network }: DenoiserSpec): DitConfig {
  const { patch, width, depth, heads } = network;
  return { shape, patch, width, depth, heads };
}

export function unetConfig({ shape, network }: DenoiserSpec): UnetConfig {
  const { width, multipliers, depth, attentionLevels, heads } = network;
  return { shape, width, multipliers, depth, attentionLevels, heads };
}

export function textConfig({ network, vocabulary }: DenoiserSpec): TextEncoderConfig {
  const { width, heads, textDepth, captionTokens } = network;
  return { vocabulary, length: captionTokens, width, depth: textDepth, heads };
}

/** Initial weights of the network and its condition embedding. */
export function initDenoiser(spec: DenoiserSpec, seed: number): Weights {
  const network = spec.network.kind === "dit" ? initDit(ditConfig(spec), seed) : initUnet(unetConfig(spec), seed);
  if (spec.network.condition === "caption") return { ...network, ...initTextEncoder(textConfig(spec), seed) };
  if (spec.network.condition === "none") return network;
  const init = createInitialiser(seed);
  init.normal("classes", [spec.classes.length + 1, spec.network.width], 0.5); // the last row stands for "no class"
  return { ...network, ...init.weights };
}

/** Declarations of a program's condition inputs. `keep` [batch] is 1 where the condition holds and 0 where it is dropped. */
export function conditionInputs(spec: DenoiserSpec, batch: number): Record<string, { shape: number[]; dtype?: "float32" | "int32" }> {
  const keep = { shape: [batch] };
  if (spec.network.condition === "class") return { label: { shape: [batch], dtype: "int32" }, keep };
  if (spec.network.condition === "caption") {
    return { tokens: { shape: [batch, spec.network.captionTokens], dtype: "int32" }, keep };
  }
  return {};
}

/** The condition vector [batch, width] of the inputs that {@link conditionInputs} declares; undefined without conditions. */
export function embedConditions(spec: DenoiserSpec, parameters: Parameters, inputs: Record<string, Tensor>): Tensor | undefined {
  const keep = inputs.keep as Tensor;
  if (spec.network.condition === "caption") {
    return applyTextEncoder(textConfig(spec), parameters, { tokens: inputs.tokens as Tensor, keep }).pooled;
  }
  if (spec.network.condition === "none") return undefined;
  const count = spec.classes.length;
  const kept = tf.reshape(keep, [-1, 1]);
  const known = tf.mul(tf.oneHot(inputs.label as never, count), kept);
  const choice = tf.concat([known, tf.sub(1, kept)], 1);
  return tf.matMul(choice as never, parameter(parameters, "classes") as never);
}

/** The raw network F: x [b, h, w, c], noiseLevel c_noise [b], condition [b, width] -> [b, h, w, c]. */
export function applyNetwork(
  spec: DenoiserSpec,
  parameters: Parameters,
  inputs: { x: Tensor; noiseLevel: Tensor; condition?: Tensor },
): Tensor {
  return spec.network.kind === "dit" ? applyDit(ditConfig(spec), parameters, inputs) : applyUnet(unetConfig(spec), parameters, inputs);
}
