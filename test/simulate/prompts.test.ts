/** Prompts from every kind of file that holds them. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ByteWriter, parquetWrite } from "hyparquet-writer";
import { readPrompts } from "../../stages/simulate/prompts.ts";
import { assert, suite } from "../harness.ts";
import { freshFolder } from "./fixture.ts";

const test = suite("prompts");
const PROMPTS = ['a "red" fox, asleep', "東京タワー at night"];

async function fileOf(name: string, content: string | Uint8Array): Promise<string> {
  const folder = freshFolder();
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, name), content);
  return join(folder, name);
}

function parquetOf(columns: Record<string, (string | null)[]>): Uint8Array {
  const writer = new ByteWriter();
  parquetWrite({ writer, columnData: Object.entries(columns).map(([name, data]) => ({ name, data, type: "STRING" as const })) });
  return new Uint8Array(writer.getBuffer());
}

test("text, CSV, JSON lines and Parquet give the same prompts, empty ones are passed over", async () => {
  const csv = `id,caption\n1,"a ""red"" fox, asleep"\n2,\n3,${PROMPTS[1]}\n`;
  const jsonl = PROMPTS.map((text) => JSON.stringify({ text, caption: "another" })).join("\n");
  for (const [name, content] of [
    ["prompts.txt", `\ufeff${PROMPTS.join("\r\n\r\n")}\n`],
    ["prompts.CSV", csv],
    ["prompts.jsonl", jsonl],
    ["prompts.parquet", parquetOf({ caption: ["x", "y", "z"], prompt: [PROMPTS[0]!, null, PROMPTS[1]!] })],
  ] as const) {
    assert.equal(await readPrompts(await fileOf(name, content)), PROMPTS, name);
  }
});

test("what holds no prompts is a sentence", async () => {
  for (const [name, content, message] of [
    ["prompts.docx", "", /expected a file that ends in .txt, .csv, .jsonl, .parquet/],
    ["empty.txt", "\n \n", /it has none\. Write one a line/],
    ["prompts.csv", "file,words\na,b\n", /row 2 has no prompt, text, caption, only file, words/],
    ["prompts.csv", "id,text\n1\n", /row 2 has 1 fields, and the head has 2/],
    ["prompts.jsonl", '{"text": 1}\n', /the text of line 1 is not a text/],
    ["prompts.jsonl", "[]\n", /line 1 is not a JSON object/],
    ["prompts.parquet", "no parquet", /Cannot read prompts from .*Mend the file/],
    ["prompts.txt", Uint8Array.of(0xff, 0x41), /it is not UTF-8/],
  ] as const) {
    await assert.rejects(readPrompts(await fileOf(name, content)), message);
  }
});

test.run();
