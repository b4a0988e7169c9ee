/** The text encoders of a published pipeline, opened: from a text to what its denoiser reads of it (models/text/embedding.ts). */
import { join } from "node:path";
import type { Engine } from "../../engine/engine.ts";
import type { InputArray, Program } from "../../engine/program.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import { countWeights, type Weights } from "../../engine/weights.ts";
import type { LoraPart } from "../../models/published/lora-files.ts";
import type { BoundNetwork } from "../../models/published/network.ts";
import { openPart, type PartFiles } from "../../models/published/part-files.ts";
import { publishedNetwork } from "../../models/published/registry.ts";
import { embeddingParts } from "../../models/text/embedding.ts";
import type { PublishedText, TextPart } from "../../models/text/published-text.ts";
import { openTokenizer, type PublishedTokenizer } from "../../models/text/published-tokenizer.ts";
import { embeddingSize, type TextShape } from "../../schemas/embedding.ts";
import { Failure } from "../../schemas/failure.ts";
import type { LoraRequest } from "../../schemas/model.ts";
import { addLoraFiles } from "./lora.ts";
import { hasEncoder, readTextIndex, tokenizerIn } from "./text-files.ts";

export interface TextEncoders {
  /** The embedding of a text, a function of it alone. */
  embed: (text: string) => Promise<Float32Array>;
  /** That of the negative prompt; of none as the pipeline has it: zeros, or an empty text's. */
  negative: (text: string | undefined) => Promise<Float32Array>;
}

/** One encoder of the folder, by the name of its folder. */
interface Encoder {
  part: TextPart;
  name: TextPart["encoder"];
  length: number;
  isMasked: boolean;
  network: BoundNetwork;
  weights: Weights;
}

interface EncodersOptions {
  folder: string;
  /** Files that are added to the encoders. */
  loras?: readonly LoraRequest[] | undefined;
  lengths: readonly number[];
  shape: TextShape;
  engine: Engine;
}

/** The encoders of a folder, undefined of one that it does without; `weightsOf` reads them, or their shapes alone. */
async function encodersIn(
  { folder, lengths }: EncodersOptions,
  { parts }: PublishedText,
  weightsOf: (files: PartFiles, network: BoundNetwork, part: LoraPart) => Promise<Weights>,
): Promise<(Encoder | undefined)[]> {
  const encoders: (Encoder | undefined)[] = [];
  for (const [i, part] of parts.entries()) {
    if (!(await hasEncoder(folder, part))) {
      encoders.push(undefined);
      continue;
    }
    const { encoder: name, isMasked = false } = part;
    const files = await openPart(join(folder, name));
    const network = publishedNetwork(files);
    encoders.push({ part, name, length: lengths[i] as number, isMasked, network, weights: await weightsOf(files, network, name) });
  }
  return encoders;
}

/** Compiles what joins the encoders' answers about one text: tokens, and pooled features where the denoiser reads them. */
async function compileText(
  { folder, lengths, shape, engine }: EncodersOptions,
  { side, encoders }: { side: PublishedText; encoders: readonly (Encoder | undefined)[] },
): Promise<Program> {
  const there = encoders.filter((each) => each !== undefined);
  return engine.compile({
    name: "text encoders",
    sets: Object.fromEntries(there.map(({ name, weights }) => [name, engine.constants(name, weights)])),
    inputs: Object.fromEntries(
      there.flatMap(({ name, length, isMasked }) => {
        const ids = { shape: [1, length], dtype: "int32" as const };
        return [[`${name}.ids`, ids], ...(isMasked ? [[`${name}.mask`, { shape: [1, length] }]] : [])];
      }),
    ),
    run: (parameters, inputs) => {
      const answers = encoders.map((each) => {
        if (!each) return undefined;
        const { name, network, isMasked } = each;
        const given = {
          input_ids: inputs[`${name}.ids`] as Tensor,
          ...(isMasked && { attention_mask: inputs[`${name}.mask`] as Tensor }),
        };
        return network.forward(parameters[name] as never, given, "");
      });
      const { tokens, pooled } = side.join(answers, { width: shape.width, lengths });
      checkShapes(folder, { tokens, pooled }, shape);
      return { outputs: { tokens, ...(shape.pooled > 0 && { pooled: pooled as Tensor }) } };
    },
  });
}

/**
 * Compiles the embedding of one text for an engine that only plans, and answers how many parameters the encoders have: of their files
 * no more than the headers is read. Throws as {@link openTextEncoders} does.
 */
export async function planTextEncoders(options: EncodersOptions): Promise<number> {
  const { side } = await readTextIndex(options.folder);
  const encoders = await encodersIn(options, side, ({ shapes }, { names }) => shapes(names));
  await compileText(options, { side, encoders });
  return encoders.reduce((sum, each) => sum + (each ? countWeights(each.weights) : 0), 0);
}

/**
 * Opens the text encoders of a pipeline's folder, which must be the one that `lengths` were read from (text-files.ts). Texts go through
 * them one at a time, so that the bits of an embedding do not depend on what is embedded beside it. Throws a Failure where a part is
 * missing or not understood, and where what they make is not of the `shape` that the denoiser reads.
 */
export async function openTextEncoders(options: EncodersOptions): Promise<TextEncoders> {
  const { folder, shape } = options;
  const { side, hasZeroNegative } = await readTextIndex(folder);
  const { loras = [] } = options;
  const encoders = await encodersIn(options, side, async ({ read }, { names }, part) =>
    addLoraFiles({ weights: await read(names), part, names, loras }),
  );
  const opened: (Pick<Encoder, "name" | "length" | "isMasked"> & { tokenizer: PublishedTokenizer })[] = [];
  for (const each of encoders) if (each) opened.push({ ...each, tokenizer: await openTokenizer(tokenizerIn(folder, each.part)) });
  let program: Promise<Program> | undefined;

  const embed = async (text: string): Promise<Float32Array> => {
    const inputs: Record<string, InputArray> = {};
    let mask = new Float32Array();
    for (const each of opened) {
      const { ids, count } = each.tokenizer.encode(side.prepared?.(text) ?? text, each.length);
      inputs[`${each.name}.ids`] = ids;
      if (!each.isMasked) continue;
      mask = Float32Array.from(ids, (_, i) => (i < count ? 1 : 0));
      inputs[`${each.name}.mask`] = mask;
    }
    const outputs: Record<string, InputArray> = {
      ...(await (await (program ??= compileText(options, { side, encoders }))).run(inputs)),
      mask,
    };
    const row = new Float32Array(embeddingSize(shape));
    for (const { name, from } of embeddingParts(shape)) row.set(outputs[name] as Float32Array, from);
    return row;
  };
  return {
    embed,
    negative: async (text) => (text === undefined && hasZeroNegative ? new Float32Array(embeddingSize(shape)) : embed(text ?? "")),
  };
}

/** Throws a Failure where the joined text is not what the denoiser reads. */
function checkShapes(folder: string, { tokens, pooled }: { tokens: Tensor; pooled?: Tensor | undefined }, shape: TextShape): void {
  const [, length, width] = tokens.shape;
  const features = pooled?.shape[1] ?? 0;
  if (length === shape.length && width === shape.width && (shape.pooled === 0 || features === shape.pooled)) return;
  throw new Failure(
    `Cannot embed texts by ${folder}: its encoders make [${length}, ${width}] and ${features} pooled features of a text, and its ` +
      `denoiser reads [${shape.length}, ${shape.width}] and ${shape.pooled}. Fetch all parts of the pipeline again.`,
  );
}
