/** The text side of an exported model: a program from ids to what the generator reads of captions, and the tokenizers that make ids. */
import { join } from "node:path";
import type { PortableModel, PortableSpec } from "../../../engine/portable.ts";
import { type Tensor, tf } from "../../../engine/tfjs.ts";
import { textShapeOf } from "../../../models/families/published.ts";
import { openTokenizer, type PublishedTokenizer } from "../../../models/text/published-tokenizer.ts";
import { Failure } from "../../../schemas/failure.ts";
import type { OnestepJson } from "../../../schemas/onestep-json.ts";
import { packageText } from "../../../schemas/package.ts";
import type { Settings } from "../../../schemas/settings.ts";
import { addLoraFiles } from "../../published/lora.ts";
import { readPart } from "../../published/part.ts";
import { hasEncoder, readTextIndex, readTextSettings, tokenizerIn } from "../../published/text-files.ts";
import type { Denoiser } from "../../runs/model.ts";
import { embeddedPorts, ownText, storedAs } from "./graphs.ts";
import type { ConditionRows } from "./runner.ts";

type Tokenizer = Extract<OnestepJson["condition"], { kind: "caption" }>["tokenizers"][number];

export interface TextSide {
  program: PortableSpec;
  tokenizers: Tokenizer[];
  /** Files that lie beside the graphs, by name. */
  files: Record<string, string>;
  /** Ids of captions where a model's conditions are none. */
  ids?: (captions: readonly (string | null)[]) => ConditionRows;
}

/** The text side of a network of our own. */
export function ownTextSide(
  options: Parameters<typeof ownText>[0] & { tokenizer: NonNullable<Denoiser["description"]["tokenizer"]> },
): TextSide {
  const program = ownText(options);
  const [[input, port] = []] = Object.entries(program.inputs);
  const file = "tokenizer.json";
  return {
    program,
    tokenizers: [{ file, kind: "own", input: String(input), length: port?.shape[0] as number, end: 1, padding: 0 }],
    files: { [file]: `${JSON.stringify(options.tokenizer)}\n`, "tokenizer.py": packageText("stages/export/onnx/tokenizer.py") },
  };
}

/** One encoder of a pipeline, open. */
interface Opened {
  name: string;
  tokenizer: PublishedTokenizer;
  about: Tokenizer;
  forward: Awaited<ReturnType<typeof readPart>>["network"]["forward"];
}

/**
 * The text side of a published pipeline, which lies where the model says or at `simulate.textEncoders`. Throws a Failure where its parts
 * are missing, or others than the model was made with.
 */
export async function publishedTextSide(
  run: string,
  { description }: Denoiser,
  choice: Settings["simulate"],
  isHalf: boolean,
): Promise<TextSide> {
  const { spec } = description;
  const { text } = spec.network;
  const shape = textShapeOf(spec);
  const folder = choice.textEncoders ?? description.textEncoders;
  const { textLoras: loras = [] } = description;
  if (!text || !shape || folder === undefined || (await readTextSettings(folder, { loras })).hash !== text.hash) {
    throw new Failure(
      `Cannot export ${run} as ONNX: the text encoders that it was made with are not at ${folder ?? "any known place"}. ` +
        "Name a copy of the pipeline with --set simulate.textEncoders=FOLDER, or put it back.",
    );
  }
  const { side, hasZeroNegative } = await readTextIndex(folder);
  const opened: (Opened | undefined)[] = [];
  const weights: PortableSpec["weights"] = {};
  for (const [i, part] of side.parts.entries()) {
    if (!(await hasEncoder(folder, part))) {
      opened.push(undefined);
      continue;
    }
    const { network, weights: read } = await readPart(join(folder, part.encoder));
    const own = await addLoraFiles({ weights: read, part: part.encoder, names: network.names, loras });
    const tokenizer = await openTokenizer(tokenizerIn(folder, part));
    const { end, padding } = tokenizer;
    const input = `tokens${i === 0 ? "" : `_${i + 1}`}`;
    const about: Tokenizer = {
      file: `${part.tokenizer}.json`,
      kind: "huggingface",
      input,
      length: text.lengths[i] as number,
      end,
      padding,
      ...(part.isMasked && { mask: `${input}_mask` }),
      ...(side.prepared && { isLowered: true }),
    };
    weights[part.encoder] = storedAs(own, isHalf);
    opened.push({ name: part.encoder, tokenizer, about, forward: network.forward });
  }
  const present = opened.flatMap((each) => each ?? []);
  const idsOf = ({ tokenizer, about: { length } }: Opened, caption: string) =>
    tokenizer.encode(side.prepared?.(caption) ?? caption, length);
  const [asked] = present;
  const silent = hasZeroNegative && choice.negative === undefined && asked ? idsOf(asked, "").ids : undefined;
  const inputs = present.flatMap(({ about: { input, length, mask } }): [string, PortableSpec["inputs"][string]][] => [
    [input, { shape: [length], dtype: "int32" }],
    ...(mask ? [[mask, { shape: [length] }] as [string, PortableSpec["inputs"][string]]] : []),
  ]);
  return {
    program: {
      name: "text",
      weights,
      inputs: Object.fromEntries(inputs),
      run: (parameters, given) => {
        const answers = opened.map((each) => {
          if (!each) return undefined;
          const { input, mask } = each.about;
          const asked = { input_ids: given[input] as Tensor, ...(mask && { attention_mask: given[mask] as Tensor }) };
          return each.forward(parameters[each.name] as never, asked, "");
        });
        const joined = side.join(answers, { width: shape.width, lengths: text.lengths });
        const { tokens, pooled } = silent ? silenced(joined, given[asked!.about.input] as Tensor, silent) : joined;
        const mask = present.find(({ about }) => about.mask)?.about.mask;
        const sequence = { tokens, ...(shape.isMasked && mask && { mask: given[mask] as Tensor }) };
        return embeddedPorts({ sequences: [sequence], ...(shape.pooled > 0 && pooled && { vector: pooled }) });
      },
    },
    tokenizers: present.map(({ about }) => about),
    files: Object.fromEntries(present.map(({ tokenizer, about }) => [about.file, `${JSON.stringify(tokenizer.json)}\n`])),
    ids: (captions) => {
      const rows: ConditionRows = {};
      for (const each of present) {
        const { about } = each;
        const encoded = captions.map((caption) => idsOf(each, caption ?? ""));
        rows[about.input] = Int32Array.from(encoded.flatMap(({ ids }) => [...ids]));
        if (about.mask)
          rows[about.mask] = Float32Array.from(encoded.flatMap(({ ids, count }) => [...ids].map((_, i) => (i < count ? 1 : 0))));
      }
      return rows;
    },
  };
}

/** Features of texts, [b, n, d] and [b, d], and zeros for those whose ids are the empty text's: what such pipelines read for none. */
function silenced<F extends { tokens: Tensor; pooled?: Tensor }>({ tokens, pooled }: F, ids: Tensor, empty: ArrayLike<number>) {
  const apart = tf.abs(tf.sub(tf.cast(ids, "float32"), tf.tensor1d(Array.from(empty), "float32")));
  const says = tf.minimum(tf.sum(apart, 1), 1); // [b]: whole numbers, so it is 0 or 1
  return {
    tokens: tf.mul<Tensor>(tokens, tf.reshape(says, [-1, 1, 1])),
    ...(pooled && { pooled: tf.mul<Tensor>(pooled, tf.reshape(says, [-1, 1])) }),
  };
}

/** A program without those outputs that the generator does not read. */
export function answering(spec: PortableSpec, { inputs }: Pick<PortableModel, "inputs">): PortableSpec {
  const read = new Set(inputs.map(({ name }) => name));
  return { ...spec, run: (sets, given) => Object.fromEntries(Object.entries(spec.run(sets, given)).filter(([name]) => read.has(name))) };
}
