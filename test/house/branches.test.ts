import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { packageRoot } from "../../schemas/package.ts";
import { assert, suite } from "../harness.ts";

const test = suite("no branches on kinds");

const root = fileURLToPath(packageRoot());
const folders = ["bin", "library", "pipelines", "stages", "methods", "models", "store", "schemas", "recipes", "data", "engine"];

/** Who may know that there are several kinds: a family, an encoder and a codec each open what is their own. */
const allowed = ["models/families/", "models/encoders/", "models/codecs/"];

const kinds = "class|caption|none|dit|unet|pixel|autoencoder|taesd|kl";
const named = String.raw`\b(?:kind|condition)\b\)?`;
const literal = `["'](?:${kinds})["']`;
/** `x.kind === "dit"` either way round, and `switch` cases of such names. */
const branches = [
  new RegExp(String.raw`${named}\s*[!=]==?\s*${literal}`),
  new RegExp(String.raw`${literal}\s*[!=]==?\s*[\w.]*${named}`),
  new RegExp(String.raw`\bcase\s+${literal}`),
];

/** Lines of a text that compare a kind with one of the names, comments apart. */
function branchesIn(text: string): string[] {
  return text.split("\n").filter((line) => !/^\s*(\*|\/\/|\/\*)/.test(line) && branches.some((branch) => branch.test(line)));
}

test("network, condition and codec kinds are compared with their names by their own files alone", () => {
  const found: string[] = [];
  let files = 0;
  for (const folder of folders) {
    for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
      const path = relative(root, join(entry.parentPath, entry.name));
      if (!entry.isFile() || !path.endsWith(".ts") || allowed.some((start) => path.startsWith(start))) continue;
      files++;
      for (const line of branchesIn(readFileSync(join(root, path), "utf8"))) found.push(`${path}: ${line.trim()}`);
    }
  }
  assert.ok(files > 200, `only ${files} files were looked at`);
  assert.equal(found, []);
});

test("the search sees a branch in each of its forms, and no other comparison", () => {
  const seen = [
    'if (spec.network.kind === "dit") return;',
    'const x = condition !== "none" ? 1 : 0;',
    'if (description.kind == "taesd") {',
    'return "pixel" === codec.kind;',
    '    case "caption":',
  ];
  for (const line of seen) assert.equal(branchesIn(line), [line]);
  const others = ['if (manifest.kind === "latents") {', 'const kind = "dit";', '// where kind === "dit"', 'source === "none"'];
  for (const line of others) assert.equal(branchesIn(line), []);
});

test.run();
