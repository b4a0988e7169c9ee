/** URLs on command lines: no command takes one for the name of a folder, whatever it is given for. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execute } from "../../bin/cli.mts";
import type { Command } from "../../bin/command.mts";
import { commands } from "../../bin/commands.mts";
import { commonFlags } from "../../bin/flags.mts";
import { assert, suite } from "../harness.ts";
import { noBucket, objectsOf, startBucket } from "../store/bucket-server.ts";

const test = suite("URLs on command lines");
const reason = noBucket();
const folder = mkdtempSync(join(tmpdir(), "onestep-urls-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const URL = "s3://bucket/nothing/here";

/** Runs a line in an empty folder; what it said, and what it left there. */
async function said(words: string[]): Promise<{ code: number; text: string; left: string[] }> {
  let text = "";
  const add = (piece: string): void => void (text += piece);
  const outside = { out: add, err: add, signal: new AbortController().signal, terminal: false, colour: false, columns: () => 100 };
  const code = await execute(words, outside);
  return { code, text, left: readdirSync(folder).filter((name) => name !== "cache") };
}

/** The words of a command's example, and with each of its other flags of paths once. */
function lines(command: Command): { at: string; words: string[] }[] {
  const [, ...example] = (command.example.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replaceAll("'", ""));
  const found: { at: string; words: string[] }[] = [];
  const isPath = (word: string, before: string | undefined): boolean => {
    const flag = before?.startsWith("--") ? ({ ...commonFlags, ...command.flags }[before.slice(2)] ?? {}) : undefined;
    if (flag) return /FILE|FOLDER|PATH|RUN|STORE|LATENTS|TOKENS|PIPELINE|NEW/.test((flag as { value?: string }).value ?? "");
    return !word.startsWith("--") && command.positionals.some(({ name, choices }) => /[A-Z]{4}/.test(name) && !choices && name !== "NAME");
  };
  for (const [i, word] of example.entries()) {
    if (i === 0 || !isPath(word, example[i - 1])) continue;
    const file = /\.(png|json|html)$/.exec(word)?.[0] ?? "";
    found.push({ at: `${example[i - 1]} ${word}`, words: example.map((other, at) => (at === i ? URL + file : other)) });
  }
  for (const [name, { value = "", required }] of Object.entries(command.flags)) {
    if (required || example.includes(`--${name}`) || !/FILE|FOLDER|PATH|RUN|STORE|LATENTS|PIPELINE/.test(value)) continue;
    const ending = /\.[a-z]+/.exec(value)?.[0] ?? "";
    found.push({ at: `--${name}`, words: [...example, `--${name}`, URL + ending] });
  }
  return found;
}

if (reason) test.skip("no command takes a URL for a folder", reason);
else {
  const { endpoint } = await startBucket();
  process.chdir(folder);
  process.env.ONESTEP_CACHE = join(folder, "cache");
  for (const command of commands) {
    if (!("start" in command)) continue;
    for (const { at, words } of lines(command)) {
      test(`${command.name} ${at}`, async () => {
        const { code, text, left } = await said(words);
        assert.ok(code === 1 || code === 2, `${words.join(" ")}: ${code} ${text}`);
        assert.not.match(text, /This is a mistake|    at /, text);
        assert.not.match(text, /onestep-urls-/, text); // names are those that were given
        assert.equal(left, [], text);
        assert.equal(await objectsOf(endpoint, "nothing"), {});
      });
    }
  }

  test("a setting that is a path, and a URL of no cloud, are refused", async () => {
    for (const setting of ["train.perceptual", "train.from", "encoder.path", "simulate.prompts"]) {
      const { code, text } = await said(["train", "--teacher", "t", "--out", "o", "--set", `${setting}=s3://bucket/x`]);
      assert.is(code, 2);
      assert.match(text, new RegExp(`^Cannot use s3://bucket/x \\(${setting}\\): it must be a file or folder of this machine`));
    }
    const { code, text } = await said(["verify", "ftp://host/x"]);
    assert.is(code, 2);
    assert.match(text, /^Cannot use ftp:\/\/host\/x: expected one of s3:\/\//);
  });
}

test.run();
