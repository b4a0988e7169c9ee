/** The text encoders of a published pipeline, opened: from a text to what its denoiser reads of it (models/text/embedding.ts). */
import { join } from "node:path";
import type { Engine } from "../../engine/engine.ts";
import type { InputArray, Program } from "../../engine/program.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import { embeddingParts } from "../../models/text/embedding.ts";
import { openTokenizer, type PublishedTokenizer } from "../../models/text/published-tokenizer.ts";
import { embeddingSize, type TextShape } from "../../schemas/embedding.ts";
import { Failure } from "../../schemas/failure.ts";
import { readPart } from "./part.ts";
import { hasEncoder, readTextIndex, tokenizerIn } from "./text-files.ts";

export interface TextEncoders {
  /** The embedding of a text, a function of it alone. */
  embed: (text: string) => Promise<Float32Array>;
  /** That of the negative prompt; of none as the pipeline has it: zeros, or an empty text's. */
  negative: (text: string | undefined) => Promise<Float32Array>;
}

/** One encoder of the folder, by the name of its folder. */
interface Opened {
  name: string;
  tokenizer: PublishedTokenizer;
  length: number;
  isMasked: boolean;
}

/**
 * Opens the text encoders of a pipeline's folder, which must be the one that `lengths` were read from (text-files.ts). Texts go through
 * them one at a time, so that the bits of an embedding do not depend on what is embedded beside it. Throws a Failure where a part is
 * missing or not understood, and where what they make is not of the `shape` that the denoiser reads.
 */
export async function openTextEncoders(options: {
  folder: string;
  lengths: readonly number[];
  shape: TextShape;
  engine: Engine;
}): Promise<TextEncoders> {
  const { folder, lengths, shape, engine } = options;
  const { side, hasZeroNegative } = await readTextIndex(folder);
  const opened: (Opened | undefined)[] = [];
  const sets: Record<string, ReturnType<Engine["constants"]>> = {};
  const forwards: Record<string, Awaited<ReturnType<typeof readPart>>["network"]["forward"]> = {};
  for (const [i, part] of side.parts.entries()) {
    if (!(await hasEncoder(folder, part))) {
      opened.push(undefined);
      continue;
    }
    const { encoder: name, isMasked = false } = part;
    const { network, weights } = await readPart(join(folder, name));
    sets[name] = engine.constants(name, weights);
    forwards[name] = network.forward;
    opened.push({ name, tokenizer: await openTokenizer(tokenizerIn(folder, part)), length: lengths[i] as number, isMasked });
  }

  const compile = (): Promise<Program> =>
    engine.compile({
      name: "text encoders",
      sets,
      inputs: Object.fromEntries(
        opened.flatMap((each) => {
          if (!each) return [];
          const ids = { shape: [1, each.length], dtype: "int32" as const };
          return [[`${each.name}.ids`, ids], ...(each.isMasked ? [[`${each.name}.mask`, { shape: [1, each.length] }]] : [])];
        }),
      ),
      run: (parameters, inputs) => {
        const answers = opened.map((each) => {
          if (!each) return undefined;
          const { name } = each;
          const given = {
            input_ids: inputs[`${name}.ids`] as Tensor,
            ...(each.isMasked && { attention_mask: inputs[`${name}.mask`] as Tensor }),
          };
          return forwards[name]?.(parameters[name] as never, given, "");
        });
        const { tokens, pooled } = side.join(answers, { width: shape.width, lengths });
        checkShapes(folder, { tokens, pooled }, shape);
        return { outputs: { tokens, ...(shape.pooled > 0 && { pooled: pooled as Tensor }) } };
      },
    });
  let program: Promise<Program> | undefined;

  const embed = async (text: string): Promise<Float32Array> => {
    const inputs: Record<string, InputArray> = {};
    let mask = new Float32Array();
    for (const each of opened) {
      if (!each) continue;
      const { ids, count } = each.tokenizer.encode(side.prepared?.(text) ?? text, each.length);
      inputs[`${each.name}.ids`] = ids;
      if (!each.isMasked) continue;
      mask = Float32Array.from(ids, (_, i) => (i < count ? 1 : 0));
      inputs[`${each.name}.mask`] = mask;
    }
    const outputs: Record<string, InputArray> = { ...(await (await (program ??= compile())).run(inputs)), mask };
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
