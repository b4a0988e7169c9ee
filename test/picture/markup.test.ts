import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Line } from "../../schemas/figures.ts";
import { runPage } from "../../stages/runs/page.ts";
import { jsonMarkup, markup, trusted } from "../../stages/picture/markup.ts";
import { pagePolicy } from "../../stages/picture/policy.ts";
import { coordinate, svgText } from "../../stages/picture/svg.ts";
import { sharp } from "../../schemas/sharp.ts";
import { assert, suite } from "../harness.ts";

const test = suite("words in SVG and HTML");
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

test("escapes what ends an element or an attribute, and shows what nobody sees", () => {
  const words = (content: string | number | null | undefined) => String(markup`${content}`);
  assert.is(words(`<b a='1' c="2">&amp;`), "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;amp;");
  assert.is(words("a\u0000b\u001bc\u009fd\u202ee\uffff"), "a\\u{0}b\\u{1b}c\\u{9f}d\\u{202e}e\\u{ffff}");
  assert.is(words("line\n\tnext\r"), "line\n\tnext\r");
  assert.equal([words(5), words(undefined), words(null), words("наутро 🐈")], ["5", "", "", "наутро 🐈"]);
});

test("takes as markup what such a template made, and nothing that only looks like it", () => {
  const part = markup`<i>${"<"}</i>`;
  assert.is(String(markup`<p title="${'a"b'}">${part}${[part, "&", [1]]}</p>`), '<p title="a&quot;b"><i>&lt;</i><i>&lt;</i>&amp;1</p>');
  assert.is(String(markup`${trusted("<hr>")}`), "<hr>");
  const forged: unknown = JSON.parse('{"markup":"<hr>","toString":"<hr>"}');
  assert.throws(() => String(markup`${forged as string}`), /Cannot convert object to primitive value/);
  assert.is(String(markup`${{ toString: () => "<hr>" } as unknown as string}`), "&lt;hr&gt;");
  assert.throws(() => markup`<p title=${"x onclick=alert(1)"}>`, /Put it in quotes/);
});

test("JSON in a script element neither ends it nor a line", () => {
  const value = { words: "</script><!-- \u2028\u202e", n: 1 };
  const text = String(jsonMarkup(value));
  assert.not.match(text, /[<\u2028\u202e]/);
  assert.equal(JSON.parse(text), value);
});

test("a page's policy names its own script and style by their hashes, with line ends as a browser reads them", () => {
  // printf 'alert(1)\n' | openssl dgst -sha256 -binary | base64
  const hash = "'sha256-MaeD7tQk/YNyd6Pm9J12ROmv0Z93QwNN4VH7v3gI+RI='";
  const policy = pagePolicy({ scripts: ["alert(1)\n"], styles: [], asks: true });
  assert.is(policy, `default-src 'none'; base-uri 'none'; form-action 'none'; script-src ${hash}; img-src data:; connect-src 'self'`);
  assert.is(pagePolicy({ scripts: ["alert(1)\r\n"], styles: [], asks: true }), policy);
});

test("writes a text element at a tenth of a pixel", () => {
  assert.is(String(svgText(1.26, 2, "a<b")), '<text x="1.3" y="2">a&lt;b</text>');
  assert.is(
    String(svgText(0, 0, "w", { anchor: "end", more: markup`font-weight="600"` })),
    '<text x="0" y="0" text-anchor="end" font-weight="600">w</text>',
  );
  assert.equal([0.04, -0.25, 7].map(coordinate), ["0", "-0.2", "7"]);
});

test("words that XML forbids do not break an SVG", async () => {
  for (const words of ["\u0000", "\ud800", "\ufffe\uffff", "\u001b[31m", "]]>&#0;"]) {
    const svg = String(
      markup`<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20" aria-label="${words}">${svgText(1, 9, words)}</svg>`,
    );
    assert.is((await sharp(Buffer.from(svg)).metadata()).width, 40, JSON.stringify(words));
  }
});

test("the run page keeps the lines of the settings", () => {
  const state = { folder: "run", name: "train", state: "training", step: 5, steps: 8, batch: 4, rate: 2, time: new Date(0) } as const;
  assert.match(
    runPage({ ...state, history: [], groups: [], findings: [], settings: "a: 1\nb: <2>\n" }),
    /<pre>a: 1\nb: &lt;2&gt;\n<\/pre>/,
  );
});

test("the page of a training that goes on can be held by its reader, and its policy lets it run nothing else", () => {
  const state = {
    folder: "run",
    name: "train",
    step: 5,
    steps: 8,
    batch: 4,
    rate: 2,
    time: new Date(0),
    groups: [],
    findings: [],
  } as const;
  const live = runPage({ ...state, state: "training", history: [] });
  assert.not.match(live, /http-equiv="refresh"/, "whoever reads slowly loses no place");
  assert.match(live, /<label><input type="checkbox" id="again" checked>/);
  const [, script] = /<script>([\s\S]*?)<\/script>/.exec(live)!;
  const hash = createHash("sha256").update(script!).digest("base64");
  assert.ok(live.includes(`script-src &#39;sha256-${hash}&#39;;`) || live.includes(`script-src 'sha256-${hash}';`));
  assert.not.match(runPage({ ...state, state: "finished", history: [] }), /<script|id="again"/);
});

test("the run page tells the latest figures under the titles and words of their charts", () => {
  const state = {
    folder: "run",
    name: "train",
    state: "finished",
    step: 5,
    steps: 8,
    batch: 4,
    rate: 2,
    time: new Date(0),
    findings: [],
  } as const;
  const groups = [{ title: "Logits", label: "mean", figures: { d_real: "real", d_fake: "generated", d_none: "none" } }];
  const history: Line[] = [
    { step: 1, d_real: 1, d_fake: 2, odd: 3, distance: 9 },
    { step: 2, d_real: 4, loss: 5 },
  ];
  const [, list] = /<dl>(.*)<\/dl>/.exec(runPage({ ...state, groups, history }))!;
  assert.equal(
    list!
      .replace(/<dt>/g, "|")
      .replace(/<[^>]*>/g, " ")
      .replace(/ +/g, " ")
      .trim()
      .split("|")
      .map((each) => each.trim())
      .slice(1),
    ["Online Fréchet distance 9", "Loss 5", "Logits real 4 generated 2", "odd 3"],
  );
});

/** Special tokens of tokenizers, which only look like elements. */
const specialTokens = [
  'models/text/published-tokenizer.ts: "<pad>',
  "models/text/special-tokens.ts: `<extra_id_N>",
  "models/text/tokenizer-json.ts: `</w>",
];

test("no other file escapes words by itself, and none writes elements in a template that does not escape", () => {
  const tracked = execFileSync("git", ["ls-files", "*.ts", "*.mts"], { cwd: root, encoding: "utf8" }).trim().split("\n");
  const sources = tracked
    .filter((path) => !/^(test|data)\//.test(path))
    .map((path) => [path, readFileSync(join(root, path), "utf8")] as const);
  const escaping = sources.filter(([, text]) => /&(amp|lt);/.test(text)).map(([path]) => path);
  assert.equal(escaping, ["stages/picture/markup.ts"]);
  const bare = sources.flatMap(([path, text]) =>
    (/(?<!markup|\w)(`|"|')<\/?[a-z][\w-]*[ >]/.exec(text) ?? []).slice(0, 1).map((found) => `${path}: ${found}`),
  );
  assert.equal(bare.sort(), specialTokens);
});

test.run();
