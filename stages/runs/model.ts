/** Reads and writes the networks of run folders: denoisers, codecs and perceptual networks, each with its description. */
import { hashWeights, layoutDifferences, shapesAlone, type Weights } from "../../engine/weights.ts";
import {
  type Codec,
  codecDescription,
  type CodecDescription,
  codecFormat,
  codecFunctions,
  codecOfSettings,
} from "../../models/codecs/codecs.ts";
import { type DenoiserSpec, denoiserLayout } from "../../models/denoiser.ts";
import { initPerceptual } from "../../models/losses/perceptual.ts";
import { initImageTokenizer } from "../../models/tokens/image-tokenizer.ts";
import { initPrior } from "../../models/tokens/prior.ts";
import { type Differences, loadWeights, openWeights } from "../../models/weights/load.ts";
import { badUsage, Failure, isFailure } from "../../schemas/failure.ts";
import { type ImageSize, sizeInWords } from "../../schemas/images.ts";
import {
  type DenoiserDescription,
  denoiserDescription,
  type ImageTokenizerDescription,
  imageTokenizerDescription,
  modelFormat,
  type PerceptualDescription,
  perceptualDescription,
  type PriorDescription,
  priorDescription,
} from "../../schemas/model.ts";
import { sealedText } from "../../schemas/seal.ts";
import type { Settings } from "../../schemas/settings.ts";
import { filesAt } from "../../store/places/files.ts";
import { localCopy } from "../../store/places/local-copy.ts";
import { within } from "../../store/places/place.ts";
import {
  isPublishedTeacher,
  planPublishedCodec,
  planPublishedTeacher,
  readPublishedCodec,
  readPublishedTeacher,
} from "../published/teacher.ts";
import { checkLatents, checkStoresCodec, checkStoresTokenizer } from "./beside.ts";
import { type DescriptionKind, readDescription } from "./description.ts";
import { leaner } from "./leaner.ts";
import { checkOldModel, isOldCodecCovered, type Reading, warnUnsealed } from "./older.ts";
import { denoiserProblems, imageTokenizerProblems, perceptualProblems, priorProblems } from "./problems.ts";
import { saveWeights } from "./weights-file.ts";

export type { Codec };

export interface Network<D> {
  description: D;
  weights: Weights;
}

export type Denoiser = Network<DenoiserDescription>;
export type Perceptual = Network<PerceptualDescription>;
export type ImageTokenizer = Network<ImageTokenizerDescription>;
export type Prior = Network<PriorDescription>;

/** Writes a network with its model.json: weights first, so that a description never stands without them. */
export async function writeModel(
  folder: string,
  model: Denoiser | Perceptual | ImageTokenizer | Prior,
  dtype: "F32" | "F16" = "F32",
): Promise<void> {
  await saveWeights({ path: within(folder, "weights.safetensors"), weights: model.weights, dtype });
  await filesAt(folder).replace(within(folder, denoisers.file), sealedText(modelFormat, leaner(model.description)));
}

const denoisers: DescriptionKind<DenoiserDescription> = {
  file: "model.json",
  format: modelFormat,
  schema: denoiserDescription,
  problems: denoiserProblems,
  maker: "`pipeline pretrain teacher` or `pipeline train`",
};

const perceptuals: DescriptionKind<PerceptualDescription> = {
  file: "model.json",
  format: modelFormat,
  schema: perceptualDescription,
  problems: perceptualProblems,
  maker: "`pipeline pretrain perceptual`",
};

const imageTokenizers: DescriptionKind<ImageTokenizerDescription> = {
  file: "model.json",
  format: modelFormat,
  schema: imageTokenizerDescription,
  problems: imageTokenizerProblems,
  maker: "`pipeline pretrain tokenizer`",
};

const storesTokenizer: DescriptionKind<ImageTokenizerDescription> = {
  ...imageTokenizers,
  file: "tokenizer.json",
  maker: "`pipeline tokenize`, `pretrain prior` or `train`",
};

const priors: DescriptionKind<PriorDescription> = {
  file: "model.json",
  format: modelFormat,
  schema: priorDescription,
  problems: priorProblems,
  maker: "`pipeline pretrain prior`",
};

const codecs: DescriptionKind<CodecDescription> = {
  file: "codec.json",
  format: codecFormat,
  schema: codecDescription,
  maker: "`pipeline ingest` or a training command",
};

/**
 * Reads the teacher or student of a run folder, or a published teacher, with LoRAs added where there are any, at the size that is asked
 * for. Throws a Failure that says what is missing, damaged or changed.
 */
export async function readDenoiser(folder: string, reading: Reading = {}): Promise<Denoiser> {
  if (isPublishedTeacher(folder)) return readPublishedTeacher(folder, reading);
  if (reading.loras && reading.loras.length > 0) {
    throw new Failure(
      `Cannot add ${reading.loras[0]!.path} to ${folder} (--lora): it is a run, not a published pipeline. Use pipeline merge-lora first.`,
    );
  }
  if (reading.size !== undefined) throw notResizable(folder, reading.size);
  const { path, description, isSealed } = await readDescription(folder, denoisers);
  if (!isSealed) await checkOldModel(folder, path, description);
  const { spec } = description;
  checkTextLength(folder, spec, reading.textLength);
  const layout = denoiserLayout(spec);
  const differences: Differences = (found) => (layout ? layoutDifferences(layout, found) : []);
  const weights = await readWeights(within(folder, "weights.safetensors"), path, description, differences);
  const codec = await readCodecDescription(folder).catch((error) => {
    if (!isFailure(error)) throw error; // whoever wants the codec hears what is wrong with it
  });
  if (codec) checkLatents(path, spec.shape, codec);
  if (!isSealed) warnUnsealed(path, reading);
  return { description, weights };
}

/** That a run has one size. */
function notResizable(folder: string, size: ImageSize): Error {
  return badUsage(
    `Cannot take ${folder} at ${sizeInWords(size)} (--size): it is a run, which makes pictures of the size that it was trained at; leave ` +
      "--size out",
  );
}

/** Throws a usage failure where a run reads texts of another length than it is asked for. */
function checkTextLength(folder: string, { network }: DenoiserSpec, asked: number | undefined): void {
  const length = network.text?.lengths.at(-1); // of T5, which comes last
  if (asked === undefined || length === undefined || asked === length) return;
  throw badUsage(
    `Cannot give ${folder} texts of ${asked} tokens (simulate.textLength): it is a run, which was trained with ${length}; leave ` +
      "the setting out",
  );
}

/** The denoiser and the codec of a teacher's folder with weights that have shapes and no elements: none of them is read. */
export async function planDenoiser(folder: string, taken: Omit<Reading, "loras"> = {}): Promise<{ teacher: Denoiser; codec: Codec }> {
  const { size } = taken;
  if (isPublishedTeacher(folder)) {
    return { teacher: await planPublishedTeacher(folder, taken), codec: await planPublishedCodec(folder, { size }) };
  }
  if (size !== undefined) throw notResizable(folder, size);
  const shapesIn = async (name: string): Promise<Weights> => shapesAlone((await openWeights(within(folder, name))).tensors);
  const { description } = await readDescription(folder, denoisers);
  const codec = await readCodecDescription(folder);
  return {
    teacher: { description, weights: await shapesIn("weights.safetensors") },
    codec: { description: codec, weights: codecFunctions(codec) ? await shapesIn("codec.safetensors") : {} },
  };
}

/**
 * The weights of an earlier run, to start another one from; the setting `named` has its folder. Throws a Failure where
 * it is another network, or reads other latents or conditions.
 */
export async function startFrom(folder: string, spec: DenoiserSpec, named: string, reading: Reading = {}): Promise<Weights> {
  const { description, weights } = await readDenoiser(folder, reading);
  if (JSON.stringify(description.spec) === JSON.stringify(spec)) return weights;
  throw new Failure(
    `Cannot start from ${folder}: its network, latents or classes are others. Name a run of the same settings, or leave ${named} out.`,
  );
}

/** Reads the perceptual network of a run folder. */
export async function readPerceptual(folder: string, reading: Reading = {}): Promise<Perceptual> {
  const { path, description, isSealed } = await readDescription(folder, perceptuals);
  if (!isSealed) await checkOldModel(folder, path, description);
  const layout = initPerceptual(description.config, 0);
  const differences: Differences = (found) => layoutDifferences(layout, found);
  const weights = await readWeights(within(folder, "weights.safetensors"), path, description, differences);
  if (!isSealed) warnUnsealed(path, reading);
  return { description, weights };
}

/** Reads the image tokenizer of a run folder; the codec of its latents stands beside it. */
export function readImageTokenizer(folder: string): Promise<ImageTokenizer> {
  return readTokenizerAs(folder, imageTokenizers, "weights.safetensors");
}

async function readTokenizerAs(folder: string, kind: DescriptionKind<ImageTokenizerDescription>, file: string): Promise<ImageTokenizer> {
  const { path, description } = await readDescription(folder, kind);
  await checkStoresTokenizer(folder, path, description);
  const layout = initImageTokenizer(description.config, 0);
  const differences: Differences = (found) => layoutDifferences(layout, found);
  const weights = await readWeights(within(folder, file), path, description, differences);
  checkLatents(path, description.config.shape, await readCodecDescription(folder));
  return { description, weights };
}

/** Writes the tokenizer of tokens into the folder of their store, or of a run that reads them, which then stands alone. */
export async function writeStoresTokenizer(folder: string, { description, weights }: ImageTokenizer): Promise<void> {
  await saveWeights({ path: within(folder, "tokenizer.safetensors"), weights });
  await filesAt(folder).replace(within(folder, storesTokenizer.file), sealedText(modelFormat, description));
}

/** Reads the tokenizer that stands in the folder of a token store, or of a run that reads tokens. */
export function readStoresTokenizer(folder: string): Promise<ImageTokenizer> {
  return readTokenizerAs(folder, storesTokenizer, "tokenizer.safetensors");
}

/** Reads the prior of a run folder. */
export async function readPrior(folder: string): Promise<Prior> {
  const { path, description } = await readDescription(folder, priors);
  const layout = initPrior(description.spec, 0);
  const differences: Differences = (found) => layoutDifferences(layout, found);
  const weights = await readWeights(within(folder, "weights.safetensors"), path, description, differences);
  return { description, weights };
}

/** Writes a codec into a folder, so that what the folder holds can be decoded from the folder alone. */
export async function writeCodec(folder: string, codec: Codec, dtype: "F32" | "F16" = "F32"): Promise<void> {
  await saveWeights({ path: within(folder, "codec.safetensors"), weights: codec.weights, dtype });
  await filesAt(folder).replace(within(folder, codecs.file), sealedText(codecFormat, codec.description));
}

/** Reads the codec of a latent store, triple store or run folder. Throws a Failure as {@link readDenoiser} does. */
export async function readCodec(folder: string, reading: Reading = {}): Promise<Codec> {
  if (isPublishedTeacher(folder)) return readPublishedCodec(folder, reading);
  const { path, description, isSealed } = await readDescription(folder, codecs);
  const isCovered = isSealed || (await isOldCodecCovered(folder));
  if (!isCovered) warnUnsealed(path, reading);
  await checkStoresCodec(folder, path, description);
  const functions = codecFunctions(description);
  if (!functions) return { description, weights: {} };
  return { description, weights: await readWeights(within(folder, "codec.safetensors"), path, description, functions.differences) };
}

/** What a folder says of its codec, without the weights. */
export async function readCodecDescription(folder: string): Promise<CodecDescription> {
  return (await readDescription(folder, codecs)).description;
}

/** The codec that the settings ask for, at the size of the images. */
export async function openCodec(settings: Pick<Settings, "encoder" | "images">, reading: Reading = {}): Promise<Codec> {
  return codecOfSettings(settings, (folder) => readCodec(folder, reading));
}

/** The weights that a description speaks of. */
async function readWeights(file: string, path: string, { hash }: { hash: string }, differences: Differences): Promise<Weights> {
  const { weights } = await loadWeights(await localCopy(file), { differences });
  if (hashWeights(weights) === hash) return weights;
  throw new Failure(`Cannot trust ${file}: its hash is not the one that ${path} records. Put both files back, or make the folder anew.`);
}
