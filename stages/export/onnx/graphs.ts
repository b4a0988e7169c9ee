/** The graphs of an exported model: generator, decoder and, where captions are read, the text encoder. */
import { type PortableModel, type PortableSpec, portableModel, type StoredWeights } from "../../../engine/portable.ts";
import type { Tensors } from "../../../engine/program.ts";
import { type Tensor, tf } from "../../../engine/tfjs.ts";
import type { Weights } from "../../../engine/weights.ts";
import { type Codec, codecFunctions } from "../../../models/codecs/codecs.ts";
import { tracedInTiles } from "../../../models/codecs/tiles.ts";
import { applyNetwork, takesGuidance } from "../../../models/denoiser.ts";
import { numbers, tensors } from "../../../models/diffusion/arithmetic.ts";
import { denoise, type Network } from "../../../models/diffusion/denoise.ts";
import { guidedNetwork } from "../../../models/diffusion/guidance.ts";
import { advance } from "../../../models/diffusion/machine.ts";
import { createParameterisation, type Preconditioning } from "../../../models/diffusion/parameterisation.ts";
import { type Embedded, type Encoder, joinedEmbedded } from "../../../models/encoders/encoder.ts";
import { isConditional } from "../../../models/encoders/own.ts";
import { familyOf } from "../../../models/families/registry.ts";
import { codesOfTokens, tokenCount } from "../../../models/tokens/image-tokenizer.ts";
import { toHalf } from "../../../schemas/numbers/half.ts";
import { denormalise } from "../../../store/records/statistics.ts";
import type { Denoiser, ImageTokenizer } from "../../runs/model.ts";
import type { ExportSampler } from "./sampler.ts";

/** The fewest elements of a tensor that is rounded to half: smaller ones, such as biases and norms, weigh nothing. */
const LEAST_HALVED = 1024;

/** Weights as a model stores them. */
export function storedAs(weights: Weights, isHalf: boolean): StoredWeights {
  if (!isHalf) return weights;
  return Object.fromEntries(
    Object.entries(weights).map(([name, { shape, data }]) => [name, { shape, data: data.length < LEAST_HALVED ? data : toHalf(data) }]),
  );
}

/** What ends the names of a text's features where no text is given, which guidance reads beside the text's. */
const WITHOUT = "_without";

/** Features of texts as ports: `vector`, and of a sequence `sequence` and `mask`. */
export function embeddedPorts({ vector, sequences: [sequence] = [] }: Embedded, ending = ""): Tensors {
  const named = { vector, sequence: sequence?.tokens, mask: sequence?.mask };
  return Object.fromEntries(Object.entries(named).flatMap(([name, tensor]) => (tensor ? [[`${name}${ending}`, tensor]] : [])));
}

function embeddedOf({ vector, sequence, mask }: Tensors): Embedded {
  return { ...(vector && { vector }), ...(sequence && { sequences: [{ tokens: sequence, ...(mask && { mask }) }] }) };
}

/** The text encoder of a network of our own, as a program from its inputs to features. */
export function ownText(options: { encoder: Encoder; weights: StoredWeights; isGuided: boolean }): PortableSpec {
  const { encoder, weights, isGuided } = options;
  const inputs = Object.entries(encoder.inputs(1)).map(([name, { shape, dtype = "float32" }]) => [name, { shape: shape.slice(1), dtype }]);
  return {
    name: "text",
    weights: { network: weights },
    inputs: Object.fromEntries(inputs),
    run: ({ network = {} }, given) => {
      const batch = Object.values(given)[0]?.shape[0] as number;
      const kept = encoder.encode(network, { ...given, keep: tf.ones([batch]) });
      return {
        ...embeddedPorts(kept),
        ...(isGuided && embeddedPorts(encoder.encode(network, { ...given, keep: tf.zeros([batch]) }), WITHOUT)),
      };
    },
  };
}

/** Whether a model is guided by two predictions. */
export const isGuidedBy = ({ spec }: Denoiser["description"], { guidance }: ExportSampler): boolean =>
  guidance !== 1 && !takesGuidance(spec) && isConditional(spec.network);

/** The generator: noise [b, h, w, c] to a clean latent in the model's scale, or of a loop one call from a state x and its level. */
export function generatorModel(options: {
  description: Denoiser["description"];
  weights: StoredWeights;
  sampler: ExportSampler;
  /** What the text encoder answers, a row each; undefined without one. */
  text?: PortableModel["outputs"];
  /** Of a network that draws what an image's tokens say: `tokens` [b, n] are its condition then. */
  tokenizer?: ImageTokenizer;
}): PortableModel {
  const { description, weights, sampler, text = [], tokenizer } = options;
  const { spec } = description;
  const { direct, prior, guidance } = sampler;
  const family = familyOf(spec);
  const isGuided = isGuidedBy(description, sampler);
  const within = family.encoders.filter(({ reads }) => reads !== "caption");
  const asked = within.filter(({ name }) => name !== "guidance");
  const conditions = Object.assign({}, ...asked.map((encoder) => encoder.inputs(1))) as ReturnType<Encoder["inputs"]>;
  const ofConditions = [
    ...Object.entries(conditions).map(([name, { shape, dtype = "float32" as const }]) => ({ name, shape: shape.slice(1), dtype })),
    ...text.map(({ name, shape = [] }) => ({ name, shape: shape.slice(1) as number[], dtype: "float32" as const })),
  ];
  const rows = tokenizer ? [tokensPort(tokenizer)] : ofConditions;
  const parameterisation = createParameterisation(spec.diffusion);

  /** The network with its conditions held. */
  const held = ({ network = {}, tokenizer: codebook = {} }: Record<string, Tensors>, given: Tensors, batch: number): Network => {
    if (tokenizer) {
      const codes = codesOfTokens(tokenizer.description.config, codebook, given.tokens as Tensor);
      const condition = joinedEmbedded(family.encoders.map((encoder) => encoder.encode(network, { ...dropped(encoder, batch), codes })));
      return (at) => applyNetwork(spec, network, { ...at, condition });
    }
    const scale = takesGuidance(spec) ? { guidance: tf.fill([batch], guidance) as Tensor } : {};
    const embedded = (keep: Tensor, copies: 1 | 2): Embedded => {
      const twice = (tensor: Tensor, other = tensor): Tensor => (copies === 2 ? tf.concat([tensor, other]) : tensor);
      const own = Object.fromEntries(
        Object.entries({ ...given, ...scale }).map(([name, tensor]) => [name, twice(tensor, given[`${name}${WITHOUT}`])]),
      );
      return joinedEmbedded([
        ...(text.length > 0 ? [embeddedOf(own)] : []),
        ...within.map(({ encode }) => encode(network, { ...own, keep })),
      ]);
    };
    if (!isGuided) return (at) => applyNetwork(spec, network, { ...at, condition: embedded(tf.ones([batch]), 1) });
    const both = ({ keep, ...at }: { x: Tensor; noiseLevel: Tensor; keep: Tensor }): Tensor =>
      applyNetwork(spec, network, { ...at, condition: embedded(keep, 2) });
    return guidedNetwork({ scale: guidance, network: both });
  };

  const codebook = tokenizer && { tokenizer: { codes: tokenizer.weights.codes as StoredWeights[string] } };
  const common = { name: "generator", weights: { network: weights, ...codebook } };
  const perRow = Object.fromEntries(rows.map(({ name, ...port }) => [name, port]));
  if (!direct) {
    return portableModel({
      ...common,
      inputs: { x: { shape: spec.shape }, level: { shape: [4], isShared: true }, ...perRow },
      run: (sets, { x, level, ...given }) => {
        const [cSkip, cOut, cIn, cNoise] = tf.split(level as Tensor, 4) as [Tensor, Tensor, Tensor, Tensor];
        const coefficients: Preconditioning<Tensor> = { cSkip, cOut, cIn, cNoise };
        const state = x as Tensor;
        return { latent: denoise({ x: state, coefficients, network: held(sets, given, state.shape[0] as number) }) };
      },
    });
  }
  const { start, stage } = direct;
  const told = parameterisation.precondition(stage.sigma, numbers);
  const coefficients = { ...told, cNoise: stage.time ?? told.cNoise };
  return portableModel({
    ...common,
    inputs: { noise: { shape: spec.shape }, ...(prior && { prior: { shape: spec.shape } }), ...perRow },
    run: (sets, { noise, prior: ofPrior, ...given }) => {
      const scaled = tf.mul(noise as Tensor, start) as Tensor;
      const begun = prior && tf.add(tf.mul(ofPrior as Tensor, tf.tensor1d([...prior.std])), tf.tensor1d([...prior.mean]));
      const x = begun ? tf.add<Tensor>(begun, scaled) : scaled;
      const denoised = denoise({ x, coefficients, network: held(sets, given, x.shape[0] as number) });
      return { latent: advance({ stage, x, memories: [], denoised }, tensors).x };
    },
  });
}

/** The input of a generator that takes an image's tokens, a row each. */
function tokensPort({ description: { config } }: ImageTokenizer) {
  return { name: "tokens", shape: [tokenCount(config)], dtype: "int32" as const };
}

/** Inputs of an encoder whose condition is dropped: whatever stands in them has no effect. */
function dropped(encoder: Encoder, batch: number): Tensors {
  const zeros = Object.entries(encoder.inputs(batch)).map(([name, { shape, dtype = "float32" }]) => [name, tf.zeros(shape, dtype)]);
  return { ...Object.fromEntries(zeros), keep: tf.zeros([batch]) };
}

/** The decoder: a latent [b, h, w, c] in the model's scale to a picture [b, H, W, 3] in -1..1, in tiles where it is larger than one. */
export function decoderModel(options: { description: Denoiser["description"]; codec: Codec; isHalf: boolean }): PortableModel {
  const { description, codec, isHalf } = options;
  const { spec, statistics } = description;
  const functions = codecFunctions(codec.description);
  const channels = spec.shape[2];
  const [shift, one] = [0, 1].map((value) => denormalise(new Float32Array(channels).fill(value), statistics, spec.diffusion.sigmaData));
  const scale = (one as Float32Array).map((value, i) => value - ((shift as Float32Array)[i] as number));
  return portableModel({
    name: "decoder",
    weights: { codec: functions ? storedAs(codec.weights, isHalf) : {} },
    inputs: { latent: { shape: spec.shape } },
    run: ({ codec: parameters = {} }, { latent }) => {
      const raw = tf.add(tf.mul(latent as Tensor, tf.tensor1d(scale)), tf.tensor1d(shift as Float32Array)) as Tensor;
      if (!functions) return { image: tf.clipByValue(raw, -1, 1) as Tensor };
      const { tile = Number.POSITIVE_INFINITY, decode } = functions;
      const image = tracedInTiles({ latents: raw, tile, decode: (latents) => decode(parameters, latents) });
      return { image: tf.clipByValue(image, -1, 1) as Tensor };
    },
  });
}
