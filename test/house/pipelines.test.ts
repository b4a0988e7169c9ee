/** Every file of pipelines/ opens with the command that runs it, and then with the stream it is, as `source | stage | sink`. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { commands } from "../../bin/commands.mts";
import { commonFlags } from "../../bin/flags.mts";
import { assert, suite } from "../harness.ts";

const test = suite("heads of the pipelines");
const folder = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "pipelines");
const files = readdirSync(folder).filter((name) => name.endsWith(".ts"));

/** What stands in the comment that a file begins with: the command's words, and the paragraph after it. */
function headOf(file: string): { words: string[]; stream: string } {
  const comment = /^\/\*\*\n([\s\S]*?)\n \*\//.exec(readFileSync(join(folder, file), "utf8"))?.[1];
  assert.ok(comment, `${file} begins with no comment of several lines`);
  const [command = "", stream = ""] = comment.replace(/^ \* ?/gm, "").split("\n\n");
  return { words: command.split(/\s+/), stream };
}

for (const file of files) {
  test(`${file} names a command of the table, with all it needs and nothing unknown`, () => {
    const { words, stream } = headOf(file);
    const [program, name, ...rest] = words;
    const command = commands.find((candidate) => candidate.name === name);
    assert.ok(program === "pipeline" && command, `${file}: "${words.join(" ")}" is no command`);
    const known = { ...command.flags, ...commonFlags };
    const given = rest.flatMap((word) => /^\[?--([\w-]+)/.exec(word)?.[1] ?? []);
    for (const flag of given) {
      assert.ok(Object.hasOwn(known, flag), `${file}: ${name} has no --${flag}`);
      const { value } = known[flag]!;
      if (value)
        assert.match(rest.join(" "), new RegExp(`--${flag} ${value.replace(/[.[\]]/g, "\\$&")}`), `${file}: the value of --${flag}`);
    }
    for (const [flag, { required }] of Object.entries(command.flags)) {
      if (required) assert.ok(rest.includes(`--${flag}`), `${file}: --${flag} is required and must stand there without brackets`);
    }
    for (const { name: positional, many, optional } of command.positionals) {
      const word = `${positional}${many ? "..." : ""}`;
      // A file of one of a command's answers stands for itself: study-frequency.ts of "study frequency".
      const isThere = rest.includes(optional ? `[${word}]` : word) || file === `${name}-${rest[0]}.ts`;
      assert.ok(isThere, `${file}: ${word} is missing`);
    }
    assert.match(stream, /^\S.* \| .*\S$/s, `${file}: "${stream}" is no stream`);
  });
}

test("every command that does work has its file", () => {
  const named = [...new Set(files.map((file) => headOf(file).words[1]!))];
  assert.equal(named.toSorted(), commands.flatMap((command) => ("start" in command ? command.name : [])).toSorted());
});

test.run();
