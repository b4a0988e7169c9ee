/** Writes a model as ONNX graphs with onestep.json and README.md beside them, once they have drawn the same pictures. */
import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { OPSET } from "../../../engine/onnx.ts";
import { type PortableModel, portableModel } from "../../../engine/portable.ts";
import { labelsOf } from "../../../models/denoiser.ts";
import { familyOf } from "../../../models/families/registry.ts";
import { gridOf } from "../../../models/tokens/image-tokenizer.ts";
import type { Context } from "../../../schemas/events.ts";
import { Failure, isFailure } from "../../../schemas/failure.ts";
import { sidesOf } from "../../../schemas/images.ts";
import { type OnestepJson, onestepJson, onestepJsonFormat } from "../../../schemas/onestep-json.ts";
import { version } from "../../../schemas/package.ts";
import type { Settings } from "../../../schemas/settings.ts";
import { writeAtomic } from "../../../store/places/atomic.ts";
import { type Codec, type Denoiser, readCodec, readStoresTokenizer } from "../../runs/model.ts";
import { decoderModel, generatorModel, isGuidedBy, storedAs } from "./graphs.ts";
import { measureExport } from "./parity.ts";
import { readmeOf } from "./readme.ts";
import { type ExportSampler, samplerOf } from "./sampler.ts";
import { answering, ownTextSide, publishedTextSide, type TextSide } from "./texts.ts";

/** The bytes of weights from which a graph has them in a file of its own: a protobuf ends at 2 GiB, and is copied as it is made. */
const WHOLE_BYTES = 2 ** 30;

export interface OnnxExport {
  run: string;
  out: string;
  model: Denoiser;
  isHalf: boolean;
  /** Of the weights, in words. */
  licence?: string | undefined;
  settings: Settings;
  context: Context;
  wholeBytes?: number;
}

/** What is said of weights whose licence nobody named. */
const UNKNOWN_LICENCE = "not stated; the licence of the teacher's weights holds for a student too";

/**
 * Writes generator.onnx, decoder.onnx, where captions are read text.onnx and its tokenizer, onestep.json and README.md into `out`;
 * answers what onestep.json says. Throws a Failure where a part of the model has no such form, and where the files draw other pictures
 * than this package: then none of them stays.
 */
export async function exportOnnx(options: OnnxExport): Promise<OnestepJson> {
  const { run, out, model, isHalf, settings, context, licence = UNKNOWN_LICENCE } = options;
  const { description } = model;
  const { spec, role, hash } = description;
  const codec = await readCodec(run, context);
  const sampler = samplerOf(run, description, settings.simulate);
  const written = ["export.json"]; // the folder's claim, too
  const write = async (name: string, content: string | Uint8Array | AsyncIterable<Uint8Array>): Promise<void> => {
    written.push(name);
    await writeAtomic(join(out, name), content);
  };
  try {
    const { models, condition, text } = await traced(options, codec, sampler);
    const graphs: Record<string, OnestepJson["graphs"]["generator"]> = {};
    for (const [name, graph] of Object.entries(models)) {
      context.signal.throwIfAborted();
      graphs[name] = await writeGraph({ name, graph, write, wholeBytes: options.wholeBytes ?? WHOLE_BYTES });
      context.report({ type: "note", stage: "export", message: `wrote ${join(out, `${name}.onnx`)}` });
    }
    for (const [name, content] of Object.entries(text?.files ?? {})) await write(name, content);
    const [height, width] = sidesOf(codec.description.imageSize);
    const json = {
      format: onestepJsonFormat,
      name: basename(resolve(run)),
      role,
      weights: hash,
      licence,
      madeBy: `onestep ${version()}`,
      opset: OPSET,
      precision: isHalf ? "half" : "single",
      image: { width, height, channels: 3, range: [-1, 1] },
      latent: spec.shape,
      condition,
      sampler: sampler.described,
      noise: { stream: "samples" },
      graphs: graphs as OnestepJson["graphs"],
    } satisfies Omit<OnestepJson, "parity" | "speed">;
    const { checker, ...measured } = await measureExport({
      run,
      folder: out,
      json,
      model,
      codec,
      settings,
      context,
      ...(text?.ids && { ids: text.ids }),
    });
    if (checker) context.report({ type: "note", stage: "export", message: `${checker} finds the graphs well formed` });
    const whole = onestepJson.parse({ ...json, ...measured });
    await write("README.md", readmeOf(whole));
    await write("onestep.json", `${JSON.stringify(whole, null, 2)}\n`);
    return whole;
  } catch (error) {
    for (const name of written) await rm(join(out, name), { force: true });
    if (isFailure(error) || context.signal.aborted || !/^Cannot (make|export) program/.test((error as Error).message)) throw error;
    throw new Failure(`Cannot export ${run} as ONNX: ${(error as Error).message}.`, { cause: error });
  }
}

/** The graphs by name, and what is said of conditions. */
async function traced(
  { run, model, isHalf, settings }: OnnxExport,
  codec: Codec,
  sampler: ExportSampler,
): Promise<{ models: Record<string, PortableModel>; condition: OnestepJson["condition"]; text?: TextSide }> {
  const { description } = model;
  const { spec, captions, tokenizer } = description;
  const weights = storedAs(model.weights, isHalf);
  const decoder = decoderModel({ description, codec, isHalf });
  if (spec.network.control) {
    const tokenizer = await readStoresTokenizer(run);
    const { config, hash } = tokenizer.description;
    const generator = generatorModel({ description, weights, sampler, tokenizer });
    const condition = { kind: "tokens", input: "tokens", grid: gridOf(config), codes: config.codes, tokenizer: hash } as const;
    return { models: { generator, decoder }, condition };
  }
  const encoder = familyOf(spec).encoders.find(({ reads }) => reads === "caption");
  if (!encoder) {
    const generator = generatorModel({ description, weights, sampler });
    const names = labelsOf(spec);
    const condition = names.length > 0 ? ({ kind: "class", input: "label", names } as const) : ({ kind: "none" } as const);
    return { models: { generator, decoder }, condition };
  }
  const isGuided = isGuidedBy(description, sampler);
  if (isGuided && !tokenizer) {
    throw new Failure(
      `Cannot export ${run} as ONNX: it is guided by ${sampler.guidance} away from a negative prompt, which its graphs do not hold. ` +
        "Distil it to a student that needs no guidance, or use --format diffusers.",
    );
  }
  const text = tokenizer
    ? ownTextSide({ encoder, weights, isGuided, tokenizer })
    : await publishedTextSide(run, model, settings.simulate, isHalf);
  const generator = generatorModel({ description, weights, sampler, text: portableModel(text.program).outputs });
  const models = { generator, decoder, text: portableModel(answering(text.program, generator)) };
  return { models, condition: { kind: "caption", tokenizers: text.tokenizers, captions: some(captions) }, text };
}

/** Captions to begin with. */
const CAPTIONS = 64;

/** Some captions from all over the list, each once. */
function some(captions: readonly string[]): string[] {
  const all = [...new Set(captions)];
  return all.filter(
    (_, i) => Math.floor((i * CAPTIONS) / all.length) !== Math.floor(((i - 1) * CAPTIONS) / all.length) || all.length <= CAPTIONS,
  );
}

/** Writes one graph, with its weights in it or beside it, and describes it. */
async function writeGraph(options: {
  name: string;
  graph: PortableModel;
  write: (name: string, content: Uint8Array | AsyncIterable<Uint8Array>) => Promise<void>;
  wholeBytes: number;
}): Promise<OnestepJson["graphs"]["generator"]> {
  const { name, graph, write, wholeBytes } = options;
  const file = `${name}.onnx`;
  const ports = { inputs: portsOf(graph.inputs), outputs: portsOf(graph.outputs) };
  const about = (of: string, pieces: readonly Uint8Array[]) => {
    const sum = createHash("sha256");
    for (const piece of pieces) sum.update(piece);
    return { file: of, bytes: pieces.reduce((total, { length }) => total + length, 0), sha256: sum.digest("hex") };
  };
  if (graph.weightBytes < wholeBytes) {
    const bytes = graph.whole();
    await write(file, bytes);
    return { ...about(file, [bytes]), ...ports };
  }
  const { model, weights } = graph.beside(`${file}.data`);
  const pieces = weights.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength));
  await write(
    `${file}.data`,
    (async function* () {
      yield* pieces;
    })(),
  );
  await write(file, model);
  return { ...about(file, [model]), data: about(`${file}.data`, pieces), ...ports };
}

const portsOf = (ports: PortableModel["inputs"]): OnestepJson["graphs"]["generator"]["inputs"] =>
  ports.map(({ name, shape = [], dtype }) => ({ name, shape: [...shape] as ("batch" | number)[], dtype: dtype as "float32" | "int32" }));
