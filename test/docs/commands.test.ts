/** Every command that a page shows can be typed: its command, flags, choices and settings exist. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readArguments } from "../../bin/arguments.mts";
import { assignmentLayer, presetLayer, resolveSettings } from "../../recipes/resolve-settings.ts";
import { assert, suite } from "../harness.ts";

const test = suite("commands in pages");
const at = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));

/** The lines of a page's code blocks that call the pipeline, continued lines joined, without their comments. */
function commandsOf(name: string): string[] {
  const lines = readFileSync(at(name), "utf8")
    .replaceAll(/ \\\n +/g, " ")
    .split("\n");
  return lines.flatMap((line) => /^ {4}bin\/pipeline (.*?)(?: +#.*)?$/.exec(line)?.[1] ?? []);
}

/** Words as a shell splits them; quotes hold together. */
const wordsOf = (line: string): string[] =>
  [...line.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)].map(([word]) => word.replaceAll(/['"]/g, ""));

/** What is wrong with a command line; undefined where nothing is. */
function faultOf(line: string): string | undefined {
  try {
    const { flags, repeated } = readArguments(wordsOf(line.replace(/ \.\.\. /, " --teacher teacher --out triples ")));
    const preset = flags.preset === undefined ? [] : [presetLayer(flags.preset)];
    resolveSettings([...preset, ...(repeated.set ?? []).map(assignmentLayer)]);
    return undefined;
  } catch (error) {
    return `${line}: ${(error as Error).message}`;
  }
}

const pages = [
  "README.md",
  "test/bench/README.md",
  ...readdirSync(at("docs")).flatMap((name) => (name.endsWith(".md") ? `docs/${name}` : [])),
];
for (const page of pages.filter((name) => commandsOf(name).length > 0)) {
  test(`the commands of ${page} can be typed`, () => {
    assert.equal(
      commandsOf(page).flatMap((line) => faultOf(line) ?? []),
      [],
    );
  });
}

test("commands are found, and a wrong flag, value or setting would be", () => {
  assert.ok(commandsOf("docs/GUIDE.md").length > 30);
  assert.match(faultOf("evaluate --model m --reference r --seed 1 --sedes 3")!, /Unknown flag "--sedes"/);
  assert.match(faultOf("pretrain teachers --data d --out o")!, /Unknown WHAT "teachers" of pretrain/);
  assert.match(faultOf("train --store s --teacher t --out o --set train.pixelWeights=1")!, /pixelWeights/);
});

test.run();
