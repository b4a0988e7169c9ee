/** Golden ids of a published pipeline's tokenizers, and of single tokenizer folders, compared with those that are found here. */
import { join } from "node:path";
import * as z from "zod";
import { openTokenizer } from "../../models/text/published-tokenizer.ts";
import { Failure } from "../../schemas/failure.ts";
import { type Parity, readAbout } from "./golden.ts";

const ids = z.array(z.int());
const texts = z.record(z.string(), z.string());

const goldenSchema = z.looseObject({
  prompts: texts.default({}),
  /** By the names of their folders; `text` where the pipeline changes a prompt first. */
  tokenizers: z
    .record(
      z.string(),
      z.looseObject({
        max_length: z.int().positive(),
        ids: z.record(z.string(), ids),
        lengths: z.record(z.string(), z.int()),
        text: texts.optional(),
      }),
    )
    .default({}),
  /** Of the folder itself, where it is a tokenizer's: neither padded nor cut. */
  texts: z.array(z.looseObject({ text: z.string(), ids })).default([]),
});

/**
 * Encodes every text of golden.json, which lies beside `path`, with the tokenizers of the folder again, one after the other. The
 * difference is the share of ids that differ, and none may.
 */
export async function* tokenParity({ folder, path }: { folder: string; path: string }): AsyncGenerator<Parity> {
  const golden = await readAbout(path, goldenSchema);
  for (const [name, { max_length, ids, lengths, text }] of Object.entries(golden.tokenizers)) {
    const tokenizer = await openTokenizer(join(folder, name));
    for (const [prompt, expected] of Object.entries(ids)) {
      const given = (text ?? golden.prompts)[prompt];
      if (given === undefined)
        throw new Failure(`Cannot compare ${name} of ${folder}: its golden.json has no prompt "${prompt}". Make it anew.`);
      const found = tokenizer.encode(given, max_length);
      const what = `${name} ${prompt}`;
      yield { what, difference: shareOf([...found.ids, found.count], [...expected, lengths[prompt] as number]), tolerance: 0 };
    }
  }
  if (golden.texts.length === 0) return;
  const tokenizer = await openTokenizer(folder);
  for (const { text, ids } of golden.texts) {
    yield { what: `ids of ${JSON.stringify(text)}`, difference: shareOf(tokenizer.ids(text), ids), tolerance: 0 };
  }
}

/** The share of elements that differ; those that only one side has do. */
function shareOf(found: readonly number[], expected: readonly number[]): number {
  const count = Math.max(found.length, expected.length);
  return Array.from({ length: count }, (_, i) => i).filter((i) => found[i] !== expected[i]).length / count;
}
