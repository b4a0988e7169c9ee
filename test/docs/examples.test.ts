/**
 * Every function of engine/, store/ and stages/flow/ that others import shows in its doc comment how it is called, and here
 * these examples run. They import as a user of the package does ("onestep/store") what such a user may, and the rest as a file
 * beside does ("./hash.ts"); `assert` (node:assert/strict) and `folder` (the path of an empty place) are given, and so are `latents`
 * and `triples`: finished stores of 50 rows [4, 3, 2] in shards of 8.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { assert, suite } from "../harness.ts";

const test = suite("examples of doc comments");
const root = fileURLToPath(new URL("../..", import.meta.url));
const top = mkdtempSync(join(tmpdir(), "onestep-examples-"));
test.after(() => rmSync(top, { recursive: true, force: true }));

const documented = ["engine", "store", "stages/flow"];
const users = ["bin", "library", "pipelines", "stages", "methods", "models", "schemas", "data", ...documented];

/** The TypeScript files below a folder, as paths from the root. */
function sourcesIn(folder: string): string[] {
  const names = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" });
  return names.filter((name) => /\.m?ts$/.test(name)).map((name) => join(folder, name));
}

const sources = new Map([...new Set(users.flatMap(sourcesIn))].map((path) => [path, readFileSync(join(root, path), "utf8")]));

/** Names that a file takes from others by `keyword { ... } from`, with the file they come from; types are left out. */
function* namesFrom(path: string, keyword: "import" | "export"): Generator<{ name: string; from: string }> {
  for (const [, list, specifier] of sources.get(path)!.matchAll(new RegExp(`^${keyword} \\{([^}]*)\\} from "([.][^"]+)"`, "gm"))) {
    for (const name of list!.split(",").map((part) => part.trim().split(" as ")[0]!)) {
      if (name !== "" && !name.startsWith("type ")) yield { name, from: join(path, "..", specifier!) };
    }
  }
}

/** The file that declares what `path` exports under a name, through those that only pass it on. */
function declaring(path: string, name: string): string {
  for (const passed of namesFrom(path, "export")) if (passed.name === name) return declaring(passed.from, name);
  return path;
}

/** The functions that a file declares and exports, with the text of their doc comments. */
function functionsOf(path: string): Map<string, string> {
  const pattern =
    /(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*)?^export (?:(?:async )?function\*? (\w+)|const (\w+) = (?:async )?(?:<[^=]*>)?\()/gm;
  return new Map([...sources.get(path)!.matchAll(pattern)].map(([, comment = "", ...names]) => [names.find(Boolean)!, comment]));
}

/** The code of the examples in a doc comment. */
function examplesOf(comment: string): string[] {
  const lines = comment.split("\n").map((line) => line.replace(/^\s*\* ?/, ""));
  return lines
    .join("\n")
    .split(/^@/m)
    .filter((tag) => tag.startsWith("example\n"))
    .map((tag) => tag.slice("example\n".length));
}

/** An example of a file as a module: what it imports is resolved from here, and what it is given stands before it. */
function moduleOf(code: string, path: string, place: string): string {
  const here = (path: string) => pathToFileURL(join(root, path)).href;
  const resolved = code.replace(/ from "(?!node:)([^"]+)"/g, (_, specifier: string) => {
    if (specifier.startsWith(".")) return ` from "${here(join(path, "..", specifier))}"`;
    const [isOwn, entry = "onestep"] = /^onestep(?:\/(.+))?$/.exec(specifier) ?? [];
    return ` from "${isOwn ? here(`library/${entry}.ts`) : import.meta.resolve(specifier)}"`;
  });
  const given = ['import assert from "node:assert/strict";', `const folder = ${JSON.stringify(join(place, "folder"))};`];
  for (const [word, kind] of [
    ["latents", "Latent"],
    ["triples", "Triple"],
  ] as const) {
    if (!new RegExp(`\\b${word}\\b`).test(code)) continue;
    given.push(
      `import { create${kind}Store as create_${word} } from "${here(`store/rows/${word}.ts`)}";`,
      `import { sealStore as seal_${word} } from "${here("store/shards/summary.ts")}";`,
      `import { fill as fill_${word}, ${kind.toLowerCase()}Manifest } from "${here("test/store/fixture.ts")}";`,
      `const ${word} = await create_${word}({ folder: ${JSON.stringify(join(place, word))}, manifest: ${kind.toLowerCase()}Manifest() });`,
      `await fill_${word}(${word});`,
      `await seal_${word}(${word});`,
    );
  }
  return `${given.join("\n")}\n${resolved}`;
}

for (const folder of documented) {
  const own = [...sources.keys()].filter((path) => path.startsWith(join(folder, "/")));

  test(`every function of ${folder} that others import has an example`, () => {
    const imported = new Set<string>();
    for (const user of sources.keys()) {
      if (own.includes(user)) continue;
      for (const { name, from } of namesFrom(user, "import")) {
        if (own.includes(from)) imported.add(`${declaring(from, name)} ${name}`);
      }
    }
    assert.ok(imported.size > 5, `found ${imported.size}`);
    const bare = own.flatMap((path) =>
      [...functionsOf(path)].flatMap(([name, comment]) =>
        imported.has(`${path} ${name}`) && examplesOf(comment).length === 0 ? `${name} of ${path}` : [],
      ),
    );
    assert.equal(bare, [], "these need an @example");
  });

  for (const path of own) {
    for (const [name, comment] of functionsOf(path)) {
      for (const [i, code] of examplesOf(comment).entries()) {
        const place = join(top, relative(".", path).replaceAll("/", "-"), `${name}-${i}`);
        test(`${name} of ${path}`, async () => {
          mkdirSync(place, { recursive: true });
          writeFileSync(join(place, "example.mts"), moduleOf(code, path, place));
          await import(pathToFileURL(join(place, "example.mts")).href);
        });
      }
    }
  }
}

test.run();
