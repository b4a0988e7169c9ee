/** Class folders, file names and captions that are made to act on a terminal, through the commands that print them. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commandLine } from "../fixtures/command-line.ts";
import { picture } from "../fixtures/png.ts";
import { writeZip } from "../fixtures/zip.ts";
import { assert, suite } from "../harness.ts";

const test = suite("escapes in names and captions");
let folder = "";
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "onestep-escapes-"));
});
test.after(() => rm(folder, { recursive: true }));

const classes = ["cat\u001b]0;PWNED\u0007\u001b[2J\u001b[31m", "dog\r\nwarning: FORGED", "\u009b31m\u202eowl\u2028", "wolf\u007f\b\b\b\b"];
const captions = ["\u001b[8mhidden", "line one\u2028warning: FORGED", "\u2066\u202eabc", "می\u200cخواهم 👩\u200d👧"];

/** Runs a command line; answers its exit code and all that it wrote, on either stream. */
async function run(...args: string[]): Promise<{ code: number; text: string; out: string }> {
  const { code, out, err } = await commandLine(args, { columns: 80 });
  return { code, text: out + err, out };
}

const raw = /(?!\n|[\u200c\u200d])[\p{C}\p{Zl}\p{Zp}]/u;

test(
  "none of them reaches the terminal raw, and no line is forged",
  async () => {
    const entries = classes.flatMap((name, i) => [
      { name: `${name}/${i}.png`, data: picture(i) },
      { name: `${name}/${i}.txt`, data: Buffer.from(captions[i]!) },
      { name: `${name}/torn${i}.png`, data: picture(i).subarray(0, 60) },
    ]);
    const archive = join(folder, "pictures.zip");
    await writeFile(archive, writeZip(entries));
    const store = join(folder, "st\u001b[31more");
    const grid = join(folder, "grid.png");
    const ingested = await run("ingest", archive, "--preset", "smoke", "--out", store);
    assert.not.match(ingested.text, raw);
    assert.is(ingested.code, 0, ingested.text);
    const [, first] = /^image (\d+) /m.exec((await run("inspect", store, "--quick", "--rows", "1")).out)!; // some are rejected
    const commands: [number, string[]][] = [
      [0, ["inspect", store]],
      [0, ["inspect", store, "--quick", "--rows", "9", "--grid", grid]],
      [0, ["inspect", store, "--why", first!]],
      [0, ["inspect", store, "--diff", store]],
      [0, ["inspect", store, "--sql", 'select class as "\u001b[31mclass" from classes']],
      [0, ["inspect", store, "--html", join(folder, "report.html")]],
      [2, ["inspect", store, "--where", "class = \u001b[31m", "--rows", "1"]],
      [2, ["inspect", store, "--sql", "select \u001b[31m"]],
      [2, ["inspect", "\u001b[31mx\nforged"]],
      [2, ["\u001b[31mx"]],
      [2, ["inspect", store, "--\u001b[31mx"]],
      [2, ["inspect", store, "--set", "images.\u001b[31mx=1"]],
      [2, ["inspect", store, "--set", "images.size=\u001b[31m\u202e"]],
      [2, ["inspect", store, "--preset", "\u001b[31mx"]],
      [2, ["inspect", store, "--config", "\u001b[31mx"]],
    ];
    for (const [expected, args] of commands) {
      const plain = await run(...args);
      assert.not.match(plain.text, raw, args.join(" "));
      assert.not.match(plain.text, /^\s*(warning: )?(FORGED|forged)/m, args.join(" "));
      assert.is(plain.code, expected, `${args.join(" ")}: ${plain.text}`);
      if (expected !== 0) continue;
      const json = await run(...args, "--json");
      assert.not.match(json.text, raw, args.join(" "));
      for (const line of json.out.trimEnd().split("\n")) JSON.parse(line);
    }
    const rows = (await run("inspect", store, "--quick", "--rows", "9")).out;
    assert.match(rows, /dog\\u\{d\}\\u\{a\}warning: FORGED/);
    assert.match(rows, /می\u200cخواهم 👩\u200d👧/, "what people write with joiners stays readable");
    const json = (await run("inspect", store, "--why", first!, "--json")).out;
    const { values } = JSON.parse(json.trim()) as { values: { class: string } };
    assert.ok(
      classes.some((name) => values.class.startsWith(name)),
      "JSON says the very name",
    );
    assert.not.match((await readFile(join(folder, "report.html"), "utf8")).replaceAll("\r\n", "\n"), raw); // space in a page
  },
  { seconds: 120 },
);

test.run();
