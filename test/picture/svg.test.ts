import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runPage } from "../../stages/runs/page.ts";
import { coordinate, escaped, svgText } from "../../stages/picture/svg.ts";
import { assert, suite } from "../harness.ts";

const test = suite("words in SVG and HTML");
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

test("escapes what ends an element or an attribute, and what XML does not allow", () => {
  assert.is(escaped(`<b a='1' c="2">&amp;`), "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;amp;");
  assert.is(escaped("a\u0000b\u001bc\u009fd"), "a b c d");
  assert.is(escaped("line\n\tnext\r"), "line\n\tnext\r");
  assert.equal([escaped(5), escaped(undefined), escaped("наутро 🐈")], ["5", "undefined", "наутро 🐈"]);
});

test("writes a text element at a tenth of a pixel", () => {
  assert.is(svgText(1.26, 2, "a<b"), '<text x="1.3" y="2">a&lt;b</text>');
  assert.is(
    svgText(0, 0, "w", { anchor: "end", more: 'font-weight="600"' }),
    '<text x="0" y="0" text-anchor="end" font-weight="600">w</text>',
  );
  assert.equal([0.04, -0.25, 7].map(coordinate), ["0", "-0.2", "7"]);
});

test("the run page keeps the lines of the settings", () => {
  const state = { folder: "run", name: "train", state: "training", step: 5, steps: 8, batch: 4, rate: 2, time: new Date(0) } as const;
  assert.match(
    runPage({ ...state, history: [], groups: [], findings: [], settings: "a: 1\nb: <2>\n" }),
    /<pre>a: 1\nb: &lt;2&gt;\n<\/pre>/,
  );
});

test("no other file escapes words by itself", () => {
  const tracked = execFileSync("git", ["ls-files", "*.ts", "*.mts"], { cwd: root, encoding: "utf8" }).trim().split("\n");
  const escaping = tracked.filter((path) => !path.startsWith("test/") && /&(amp|lt);/.test(readFileSync(join(root, path), "utf8")));
  assert.equal(escaping, ["stages/picture/svg.ts"]);
});

test.run();
