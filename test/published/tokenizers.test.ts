/** Published tokenizers against golden ids, and the conversions of older files on vocabularies small enough to follow by hand. */
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { float, integer, message, text } from "../../engine/protobuf.ts";
import { publishedTokenizer, openTokenizer } from "../../models/text/published-tokenizer.ts";
import { clipJson, mergesOf } from "../../models/text/tokenizer-json.ts";
import { tokenParity } from "../../stages/published/tokens.ts";
import { assert, suite } from "../harness.ts";
import { pipelines } from "./golden.ts";

const test = suite("published tokenizers");

/** A test where ../shared is there, and a skip that says so where it is not. */
function shared(title: string, folder: string, body: (folder: string) => Promise<void>): void {
  const at = join(pipelines, folder);
  if (existsSync(at)) test(title, () => body(at));
  else test.skip(title, `there is no ${at}`);
}

for (const [folder, count] of [
  ["sd15", 4],
  ["sd21v", 4],
  ["sdxl", 8],
  ["pixart", 4],
  ["sd3", 12],
  ["flux", 8],
  ["clip-tokenizer", 32],
  ["t5-tokenizer", 32],
] as const) {
  shared(`${folder}: ids are those of the published library`, folder, async (at) => {
    let compared = 0;
    for await (const { what, difference, tolerance } of tokenParity({ folder: at, path: join(at, "golden.safetensors") })) {
      assert.ok(difference <= tolerance, `${what}: ${difference}`);
      compared++;
    }
    assert.is(compared, count);
  });
}

const goldenTexts = async (folder: string): Promise<{ text: string; ids: number[]; pad_is_exclamation_mark?: number[] }[]> =>
  JSON.parse(await readFile(join(folder, "golden.json"), "utf8")).texts;

shared("clip-tokenizer: a padding token takes the exclamation marks of a text", "clip-tokenizer", async (folder) => {
  const vocabulary = JSON.parse(await readFile(join(folder, "vocab.json"), "utf8"));
  const merges = mergesOf(await readFile(join(folder, "merges.txt"), "utf8"));
  const tokens = { pad: "!", added: [], extra: 0 };
  const tokenizer = publishedTokenizer(clipJson({ vocabulary, merges }, tokens), tokens);
  for (const { text, ids, pad_is_exclamation_mark = ids } of await goldenTexts(folder)) {
    assert.equal(tokenizer.ids(text), pad_is_exclamation_mark, text);
  }
  assert.equal(tokenizer.encode("", 4), { ids: Int32Array.of(49406, 49407, 0, 0), count: 2 });
});

shared("clip-tokenizer: sigmas that end words and marks that JavaScript takes for white space", "clip-tokenizer", async (folder) => {
  const tokenizer = await openTokenizer(folder); // ids by tokenizers 0.23 of Python
  assert.equal(tokenizer.ids("ΣΟΦΟΣ"), [49406, 139, 225, 138, 123, 139, 228, 138, 123, 139, 481, 49407]);
  assert.equal(tokenizer.ids('5"\ufeff1'), [49406, 276, 1, 171, 119, 379, 272, 49407]);
});

shared("t5-tokenizer: spiece.model and tokenizer.json give the same ids", "t5-tokenizer", async (folder) => {
  const spiece = await readFile(join(folder, "spiece.model"));
  await inFolder({ "spiece.model": spiece }, async (alone) => {
    const tokenizer = await openTokenizer(alone);
    for (const { text, ids } of await goldenTexts(folder)) assert.equal(tokenizer.ids(text), ids, text);
    assert.equal(tokenizer.ids("x\u0085y"), [3, 226, 3, 63, 1]); // by tokenizers 0.23 of Python
    assert.is(tokenizer.padding, 0);
  });
});

async function inFolder(files: Record<string, string | Uint8Array>, body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "onestep-tokenizer-"));
  try {
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
    await body(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const clipVocabulary = ["!", "a", "b", "!</w>", "a</w>", "b</w>", "ab</w>", "aab</w>", "<|startoftext|>", "<|endoftext|>"];
const clipFiles = {
  "vocab.json": JSON.stringify(Object.fromEntries(clipVocabulary.map((piece, id) => [piece, id]))),
  "merges.txt": "#version: 0.2\na b</w>\na ab</w>\n",
};

test("vocab.json and merges.txt: words merge in the order of the file, and the end stands where a text is cut", async () => {
  await inFolder(clipFiles, async (folder) => {
    const tokenizer = await openTokenizer(folder);
    assert.equal(tokenizer.ids("AAB  ba\tb!"), [8, 7, 2, 4, 5, 3, 9]);
    assert.equal(tokenizer.encode("ab b", 6), { ids: Int32Array.of(8, 6, 5, 9, 9, 9), count: 4 });
    assert.equal(tokenizer.encode("ab b ab b", 4), { ids: Int32Array.of(8, 6, 5, 9), count: 4 });
    assert.throws(() => tokenizer.encode("ab"), /neither the call nor the tokenizer says/);
  });
});

test("special_tokens_map.json counts unless tokenizer_config.json lists its tokens", async () => {
  const settings = { model_max_length: 5, pad_token: "<|endoftext|>" };
  const map = JSON.stringify({ pad_token: "!" });
  await inFolder({ ...clipFiles, "tokenizer_config.json": JSON.stringify(settings), "special_tokens_map.json": map }, async (folder) => {
    assert.equal((await openTokenizer(folder)).encode("b!"), { ids: Int32Array.of(8, 5, 0, 9, 0), count: 4 });
  });
  const listed = { ...settings, added_tokens_decoder: { 9: { content: "<|endoftext|>", special: true }, 10: { content: "<new>" } } };
  await inFolder({ ...clipFiles, "tokenizer_config.json": JSON.stringify(listed), "special_tokens_map.json": map }, async (folder) => {
    assert.equal((await openTokenizer(folder)).encode("b<new>"), { ids: Int32Array.of(8, 5, 10, 9, 9), count: 4 });
  });
});

/** A spiece.model of these pieces: 1 ordinary ones, 2 the unknown, 3 control. */
const spieceModel = (pieces: [piece: string, score: number, type: number][]): Buffer =>
  Buffer.concat([
    ...pieces.map(([piece, score, type]) => message(1, Buffer.concat([text(1, piece), float(2, score), integer(3, type)]))),
    message(2, integer(3, 1)),
  ]);

const t5Model = spieceModel([
  ["<pad>", 0, 3],
  ["</s>", 0, 3],
  ["<unk>", 0, 2],
  ["▁", -2, 1],
  ["▁a", -1, 1],
  ["b", -3, 1],
  ["▁ab", -3.5, 1],
  ["bb", -7, 1],
]);

test("spiece.model: the likeliest pieces, extra tokens after them, the last first", async () => {
  await inFolder({ "spiece.model": t5Model, "tokenizer_config.json": JSON.stringify({ extra_ids: 2 }) }, async (folder) => {
    const tokenizer = await openTokenizer(folder);
    assert.equal(tokenizer.ids("ab abb"), [6, 6, 5, 1]);
    assert.equal(tokenizer.ids("  bz\n"), [3, 5, 2, 1]);
    assert.equal(tokenizer.ids("a<extra_id_0>a<extra_id_1>"), [4, 9, 4, 8, 1]);
    assert.equal(tokenizer.encode("ab", 4), { ids: Int32Array.of(6, 1, 0, 0), count: 2 });
    assert.equal(tokenizer.encode("ab ab ab ab", 3), { ids: Int32Array.of(6, 6, 1), count: 3 });
  });
});

test("what is no tokenizer is refused with the file's name", async () => {
  await inFolder({}, async (folder) => {
    await assert.rejects(openTokenizer(folder), /it has none of tokenizer.json, vocab.json, spiece.model/);
  });
  const broken: [files: Record<string, string | Uint8Array>, says: RegExp][] = [
    [{ "vocab.json": clipFiles["vocab.json"] }, /merges.txt/],
    [{ "vocab.json": "{}", "merges.txt": "" }, /vocab.json: its vocabulary lacks "<\|startoftext\|>"/],
    [{ "vocab.json": "[", "merges.txt": "" }, /vocab.json/],
    [{ "spiece.model": t5Model.subarray(0, 40) }, /spiece.model: a protobuf message is cut off/],
    [{ "spiece.model": message(2, integer(3, 2)) }, /spiece.model: it is no unigram vocabulary/],
    [{ "spiece.model": spieceModel([["▁", -2, 1]]) }, /spiece.model: it has no piece for the unknown/],
    [{ "tokenizer.json": "{}" }, /tokenizer.json/],
    [{ ...clipFiles, "tokenizer_config.json": '{"padding_side": "left"}' }, /tokenizer_config.json: padding_side/],
    [{ ...clipFiles, "tokenizer_config.json": '{"pad_token": "<pad>"}' }, /vocab.json: its vocabulary lacks "<pad>"/],
  ];
  for (const [files, says] of broken) {
    await inFolder(files, async (folder) => {
      await assert.rejects(openTokenizer(folder), says);
    });
  }
});

test.run();
