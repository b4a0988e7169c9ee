/**
 * What the small files of a published tokenizer folder say: which tokens begin, end and pad a text, and which are found in a text as
 * they stand. Read as transformers does: special_tokens_map.json and added_tokens.json count unless tokenizer_config.json lists its
 * added tokens.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { Failure } from "../../schemas/failure.ts";
import { parsedJson } from "../../schemas/json.ts";
import { absent } from "../../schemas/system-error.ts";

const token = z.union([
  z.string().transform((content) => ({ content })),
  z.looseObject({
    content: z.string(),
    lstrip: z.boolean().optional(),
    normalized: z.boolean().optional(),
    rstrip: z.boolean().optional(),
    single_word: z.boolean().optional(),
    special: z.boolean().optional(),
  }),
]);
type Token = z.output<typeof token>;

const roles = {
  bos_token: token.nullish(),
  eos_token: token.nullish(),
  pad_token: token.nullish(),
  unk_token: token.nullish(),
  additional_special_tokens: z.array(token).nullish(),
};
const mapSchema = z.looseObject(roles);
const settingsSchema = z.looseObject({
  ...roles,
  added_tokens_decoder: z.record(z.string().regex(/^\d+$/), token).optional(),
  extra_ids: z.int().nonnegative().default(100), // of T5
  model_max_length: z.number().optional(),
  padding_side: z.literal("right").optional(),
  truncation_side: z.literal("right").optional(),
});

/** A token that is found in texts before anything else is done to them, as tokenizer.json has it but for an id that is not known yet. */
export interface AddedToken {
  id?: number;
  content: string;
  single_word: boolean;
  lstrip: boolean;
  rstrip: boolean;
  /** Whether it is looked for in the normalised text. */
  normalized: boolean;
  special: boolean;
}

export interface SpecialTokens {
  bos?: string;
  eos?: string;
  pad?: string;
  unk?: string;
  /** Those four among them where they are given; each once. */
  added: AddedToken[];
  /** How many tokens `<extra_id_N>` T5's vocabulary ends with. */
  extra: number;
  /** The tokens that the network takes. */
  window?: number;
}

/** Reads tokenizer_config.json, special_tokens_map.json and added_tokens.json of a folder, each where it is. */
export async function readSpecialTokens(folder: string): Promise<SpecialTokens> {
  const [settings, map, ids] = await Promise.all([
    readJson(join(folder, "tokenizer_config.json"), settingsSchema),
    readJson(join(folder, "special_tokens_map.json"), mapSchema),
    readJson(join(folder, "added_tokens.json"), z.record(z.string(), z.int())),
  ]);
  const { added_tokens_decoder: listed, extra_ids: extra, model_max_length: window } = settings;
  const used = listed ? settings : { ...settings, ...map };
  const { bos_token: bos, eos_token: eos, pad_token: pad, unk_token: unk, additional_special_tokens: more } = used;
  const special = [bos, eos, pad, unk, ...(more ?? [])].filter((each) => each !== undefined && each !== null);
  const added = new Map<string, AddedToken>();
  const add = (each: Token, rest: Partial<AddedToken>): void => {
    if (!added.has(each.content)) added.set(each.content, filledIn({ ...each, ...rest }));
  };
  for (const [id, each] of Object.entries(listed ?? {})) add(each, { id: Number(id) });
  for (const each of special) add(each, { special: true, ...(!listed && Object.hasOwn(ids, each.content) && { id: ids[each.content] }) });
  for (const [content, id] of listed ? [] : Object.entries(ids)) add({ content }, { id });
  return {
    ...(bos && { bos: bos.content }),
    ...(eos && { eos: eos.content }),
    ...(pad && { pad: pad.content }),
    ...(unk && { unk: unk.content }),
    added: [...added.values()],
    extra,
    ...(window !== undefined && window < 1e9 && { window }), // larger ones stand for none
  };
}

/** An added token with every field: what is special is looked for in the text as it stands, unless said otherwise. */
export function filledIn({ content, id, special = false, ...rest }: Partial<AddedToken> & { content: string }): AddedToken {
  const { single_word = false, lstrip = false, rstrip = false, normalized = !special } = rest;
  return { ...(id !== undefined && { id }), content, single_word, lstrip, rstrip, normalized, special };
}

async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  const text = (await readFile(path, "utf8").catch(absent)) ?? "{}";
  const { data, error } = schema.safeParse(parsedJson(text));
  if (data !== undefined) return data;
  const [issue] = error?.issues ?? [];
  throw new Failure(`Cannot read the tokenizer's ${path}: ${issue?.path.map(String).join(".")}: ${issue?.message}. Fetch it again.`);
}
