/** A model of a few operators, as `export --format onnx` would write it: small enough that its pictures have a closed form. */
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { DType } from "../../engine/graph.ts";
import { encodeModel } from "../../engine/onnx.ts";
import { createTokenizer, learnTokenizer } from "../../models/text/tokenizer.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { type OnestepJson, onestepJson } from "../../schemas/onestep-json.ts";
import type { Which } from "../../stages/export/web/link.ts";

const side = 8;
const length = side * side * 3;
export const captions = ["a red cat", "a blue dog at night", "owls", '<b>bold & "quoted"</b>', "наутро 🐈", "a cat by the sea"];
const classes = ["cat", "dog", "owl"];
const tokens = 8;
const vocabulary = learnTokenizer({ captions, vocabulary: 96 });
/** Of the loop: a state of deviation 2 that two calls lead to the clean picture, with fresh noise between them. */
export const loop = {
  start: 2,
  clip: 1,
  stages: [
    {
      sigma: 2,
      level: [0.2, 0.5, 0.4, 0.1],
      state: 0.25,
      denoised: 0.5,
      clipped: 0.125,
      fresh: 0.3,
      memories: [{ used: 0.5, kept: 0.5, state: 0.1, denoised: 0.2 }],
    },
    {
      sigma: 0.5,
      level: [0.1, 0.9, 0.8, 0.3],
      state: 0,
      denoised: 1,
      clipped: 0,
      fresh: 0,
      memories: [{ used: 0.5, kept: 0, state: 0, denoised: 0 }],
    },
  ],
} satisfies Extract<OnestepJson["sampler"], { kind: "loop" }>["loops"][string];

type Kind = "class" | "caption";

const constant = (name: string, shape: number[], values: number[], dtype: DType = "float32") => {
  const data =
    dtype === "float32" ? Float32Array.from(values) : dtype === "int64" ? BigInt64Array.from(values, BigInt) : Int32Array.from(values);
  return { name, shape, dtype, data: data as never };
};
const node = (op: string, inputs: string[], output: string, attributes = {}) => ({ op, inputs, outputs: [output], attributes });
const port = (name: string, dtype: DType = "float32") => ({ name, shape: undefined, dtype });

/** tanh(0.5 noise + shift), where the shift is 0.1 + 0.2 label, or the mean of the ids over 100; of a loop tanh(level1 x + shift). */
function generator(kind: Kind, isLoop: boolean): Uint8Array {
  const scaled = isLoop
    ? [node("Slice", ["level", "one", "two"], "cOut"), node("Mul", ["x", "cOut"], "scaled")]
    : [node("Mul", ["noise", "half"], "scaled")];
  const shift = kind === "caption" ? [] : [node("Gather", ["shifts", "label"], "of"), node("Reshape", ["of", "shape"], "text")];
  return encodeModel({
    inputs: [...(isLoop ? [port("x"), port("level")] : [port("noise")]), kind === "caption" ? port("text") : port("label", "int32")],
    outputs: [port("latent")],
    nodes: [...scaled, ...shift, node("Add", ["scaled", "text"], "sum"), node("Tanh", ["sum"], "latent")],
    constants: [
      ...(isLoop ? [constant("one", [1], [1], "int64"), constant("two", [1], [2], "int64")] : [constant("half", [1], [0.5])]),
      ...(kind === "class"
        ? [
            constant(
              "shifts",
              [3],
              classes.map((_, i) => 0.1 + 0.2 * i),
            ),
            constant("shape", [4], [-1, 1, 1, 1], "int64"),
          ]
        : []),
    ],
  });
}

const decoder = encodeModel({
  inputs: [port("latent")],
  outputs: [port("image")],
  nodes: [node("Mul", ["latent", "most"], "image")],
  constants: [constant("most", [1], [0.9])],
});

/** A tokenizer as others publish them: of three words, of which one may have an s, between 2 and 1; 3 for all others. */
const published = (() => {
  const special = (id: number, content: string) => ({ id, content, special: true });
  const piece = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const token = (id: string, of: number) => ({ [id]: { id, ids: [of], tokens: [id] } });
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    normalizer: null,
    decoder: null,
    pre_tokenizer: { type: "Whitespace" },
    added_tokens: [special(2, "<s>"), special(1, "</s>")],
    post_processor: {
      type: "TemplateProcessing",
      single: [piece("<s>"), { Sequence: { id: "A", type_id: 0 } }, piece("</s>")],
      pair: [],
      special_tokens: { ...token("<s>", 2), ...token("</s>", 1) },
    },
    model: {
      type: "WordPiece",
      unk_token: "<u>",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: { "<u>": 3, "<s>": 2, "</s>": 1, a: 10, cat: 11, owl: 12, "##s": 13 },
    },
  };
})();

const text = (isBeside: boolean) =>
  encodeModel({
    inputs: [port("ids", "int32")],
    outputs: [port("text")],
    nodes: [
      node("Cast", ["ids"], "floats", { to: 1 }),
      node("ReduceMean", ["floats"], "mean", { axes: [1], keepdims: 0 }),
      node("Mul", ["mean", "hundredth"], "small"),
      node("Reshape", ["small", "shape"], "text"),
    ],
    constants: [...(isBeside ? [] : [constant("hundredth", [1], [0.01])]), constant("shape", [4], [-1, 1, 1, 1], "int64")],
    beside: isBeside ? [{ name: "hundredth", shape: [1], dtype: "float32", location: "text.onnx.data", offset: 0, byteLength: 4 }] : [],
  });

/**
 * Writes the folder of a model: what onestep.json says of it is checked by its schema. Of a published one captions are read by a
 * tokenizer of other people's, and a weight lies beside its graph.
 */
export async function writeModel(
  folder: string,
  kind: Kind,
  { isLoop = false, isPublished = false }: { isLoop?: boolean; isPublished?: boolean } = {},
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const written = async (file: string, content: Uint8Array, inputs: unknown[], outputs: unknown[]) => {
    await writeFile(join(folder, file), content);
    return { ...about(file, content), inputs, outputs };
  };
  const about = (file: string, content: Uint8Array) => {
    return { file, bytes: content.length, sha256: createHash("sha256").update(content).digest("hex") };
  };
  const beside = new Uint8Array(Float32Array.of(0.01).buffer);
  const tokenizer = isPublished
    ? { file: "tokenizer.json", kind: "huggingface", input: "ids", length: tokens, end: 1, padding: 0, isLowered: true }
    : { file: "vocabulary.json", kind: "own", input: "ids", length: tokens, end: 1, padding: 0 };
  const picture = ["batch", side, side, 3];
  const [latent, level] = [
    { name: "latent", shape: picture, dtype: "float32" },
    { name: "level", shape: [4], dtype: "float32" },
  ];
  const given =
    kind === "class" ? { name: "label", shape: ["batch"], dtype: "int32" } : { name: "text", shape: ["batch", 1, 1, 1], dtype: "float32" };
  const noise = { ...latent, name: isLoop ? "x" : "noise" };
  const image = { ...latent, name: "image" };
  const model = {
    format: "onestep-onnx/1",
    name: "tiny",
    role: isLoop ? "teacher" : "student",
    weights: "0".repeat(64),
    licence: "none",
    madeBy: "a test",
    opset: 17,
    precision: "single",
    image: { width: side, height: side, channels: 3, range: [-1, 1] },
    latent: [side, side, 3],
    condition: kind === "class" ? { kind, input: "label", names: classes } : { kind, captions, tokenizers: [tokenizer] },
    sampler: isLoop ? { kind: "loop", calls: 2, loops: { 2: loop } } : { kind: "direct" },
    noise: { stream: "samples" },
    graphs: {
      generator: await written("generator.onnx", generator(kind, isLoop), isLoop ? [noise, level, given] : [noise, given], [latent]),
      decoder: await written("decoder.onnx", decoder, [latent], [image]),
      ...(kind === "caption" && {
        text: {
          ...(await written("text.onnx", text(isPublished), [{ name: "ids", shape: ["batch", tokens], dtype: "int32" }], [given])),
          ...(isPublished && { data: about("text.onnx.data", beside) }),
        },
      }),
    },
    parity: { tolerance: 1e-4, range: { latent: 2, image: 2 }, differences: [{ runtime: "none", latent: 0, image: 0, rows: 1 }] },
    speed: { machine: "none", generator: 1, decoder: 1, image: 2 },
  };
  await writeFile(join(folder, "onestep.json"), JSON.stringify(onestepJson.parse(model)));
  if (kind === "caption") await writeFile(join(folder, tokenizer.file), JSON.stringify(isPublished ? published : vocabulary));
  if (isPublished) await writeFile(join(folder, "text.onnx.data"), beside);
}

type Condition = { label: number } | { caption: string } | { ids: number[] };

/** Values [side * side * 3] in -1..1 of a picture, by its formula in double precision; `noise` in the place of that of a picture. */
export function expected(noise: ArrayLike<number>, condition: Condition): number[] {
  const shift = shiftOf(condition);
  return Array.from(noise, (value) => 0.9 * Math.tanh(0.5 * value + shift));
}

/** The same of the loop: two calls, a memory, and fresh noise between them. */
export function expectedOfLoop(which: Which, condition: Condition): number[] {
  const [first, fresh] = [noiseOf(which), noiseOf(which, "samples/renoise/1")];
  const shift = shiftOf(condition);
  return Array.from(first, (value, i) => {
    const x = 2 * value;
    const early = Math.tanh(0.5 * x + shift); // never beyond the clip
    const between = 0.25 * x + (0.5 + 0.125) * early + 0.3 * (fresh[i] as number);
    const memory = 0.1 * x + 0.2 * early;
    return 0.9 * (Math.tanh(0.9 * between + shift) + 0.5 * memory);
  });
}

export const noiseOf = ({ seed, index }: Which, stream = "samples"): Float32Array =>
  normals({ seed, stream, offset: index * length, length });

function shiftOf(condition: Condition): number {
  if ("label" in condition) return 0.1 + 0.2 * condition.label;
  const ids = "ids" in condition ? condition.ids : [...createTokenizer(vocabulary).encode(condition.caption, tokens)];
  return ids.reduce((sum, id) => sum + id, 0) / tokens / 100;
}
