/** Every relative link of every page leads to a file, and to a heading where it names one; so do the code's references to METHODS. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { assert, suite } from "../harness.ts";

const test = suite("links");
const root = fileURLToPath(new URL("../../", import.meta.url));
const passedOver = new Set(["node_modules", "dist", "api", ".git", "runs", "stores", ".cache", "shared"]);

/** Files below a folder whose name ends so. */
function filesBelow(folder: string, ending: RegExp): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return passedOver.has(entry.name) ? [] : filesBelow(path, ending);
    return ending.test(entry.name) ? [path] : [];
  });
}

/** A page's text without what is code. */
const proseOf = (page: string): string =>
  page
    .replace(/^```[\s\S]*?^```/gm, "")
    .replace(/^ {4}.*$/gm, "")
    .replace(/`[^`\n]*`/g, "code");

/** Targets of the links and pictures of a page. */
function targetsOf(page: string): string[] {
  return [...proseOf(page).matchAll(/\]\(([^)\s]+)(?: "[^"]*")?\)/g)].map(([, target]) => target as string);
}

/** The anchors that a viewer gives a page's headings. */
function anchorsOf(page: string): string[] {
  const headings = [...page.replace(/^```[\s\S]*?^```/gm, "").matchAll(/^#+ (.+)$/gm)].map(([, text]) => text as string);
  return headings.map((text) =>
    text
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

/** What is wrong with a link of a page, in words; undefined where nothing is. */
function faultOf(path: string, target: string): string | undefined {
  if (/^[a-z]+:/.test(target)) return undefined;
  const [file = "", anchor] = target.split("#");
  const place = file === "" ? path : join(dirname(path), decodeURIComponent(file));
  if (!existsSync(place)) return `${relative(root, path)}: ${target} is not there`;
  if (anchor === undefined || statSync(place).isDirectory()) return undefined;
  return anchorsOf(readFileSync(place, "utf8")).includes(anchor) ? undefined : `${relative(root, path)}: ${target} names no heading`;
}

test("every relative link leads to a file and a heading", () => {
  const pages = filesBelow(root, /\.md$/).filter((path) => !path.endsWith(".template.md")); // what is made of it is checked
  assert.ok(pages.length >= 11);
  const links = pages.flatMap((path) => targetsOf(readFileSync(path, "utf8")).map((target) => [path, target] as const));
  assert.ok(links.length > 40);
  assert.equal(
    links.flatMap(([path, target]) => faultOf(path, target) ?? []),
    [],
  );
});

test("a link to nothing, and one to no heading, would be found", () => {
  const page = join(root, "README.md");
  assert.equal(targetsOf("[a](b.md) `[no](code.md)` ![c](d.png)\n\n    [no](block.md)\n"), ["b.md", "d.png"]);
  assert.match(faultOf(page, "docs/NOTHING.md")!, /README\.md: docs\/NOTHING\.md is not there/);
  assert.match(faultOf(page, "docs/GUIDE.md#nothing")!, /names no heading/);
  assert.is(faultOf(page, "docs/GUIDE.md#one-step-at-a-time"), undefined);
});

test("a page that begins with its contents names every section, in order", () => {
  const pages = filesBelow(root, /\.md$/).map((path) => [path, readFileSync(path, "utf8")] as const);
  const withContents = pages.flatMap(([path, page]) => {
    const contents = [...(page.split(/^## /m)[0] as string).matchAll(/^- \[(.+)\]\(#.+\)$/gm)].map(([, title]) => title);
    return contents.length > 0 ? [{ path, page, contents }] : [];
  });
  assert.ok(withContents.some(({ path }) => path.endsWith("GUIDE.md")));
  for (const { path, page, contents } of withContents) {
    const sections = [...page.replace(/^```[\s\S]*?^```/gm, "").matchAll(/^## (.+)$/gm)].map(([, title]) => title);
    assert.equal(contents, sections, relative(root, path));
  }
});

test("every picture and page below docs/ and data/pictures is linked from somewhere", () => {
  const linked = new Set(
    filesBelow(root, /\.md$/).flatMap((path) =>
      targetsOf(readFileSync(path, "utf8")).map((target) => join(dirname(path), target.replace(/#.*/, ""))),
    ),
  );
  const shown = ["docs", "data/pictures"].flatMap((folder) => filesBelow(join(root, folder), /\.(md|png|svg)$/));
  assert.equal(
    shown.filter((path) => !linked.has(path)).map((path) => relative(root, path)),
    [],
  );
});

test("the sections of docs/METHODS.md that comments name are there", () => {
  const sections = new Set(
    [...readFileSync(join(root, "docs/METHODS.md"), "utf8").matchAll(/^##+ (\d+(?:\.\d+)?)/gm)].map(([, number]) => number),
  );
  const code = filesBelow(root, /\.(ts|mts|yaml)$/).filter((path) => !path.endsWith("links.test.ts"));
  const named = code.flatMap((path) => {
    const text = readFileSync(path, "utf8").replace(/\n \* ?/g, " ");
    return [...text.matchAll(/METHODS(?:\.md)? (\d+(?:\.\d+)?)(?: and (\d+\.\d+))?/g)].flatMap(([, one, other]) =>
      [one, other].flatMap((n) => n ?? []),
    );
  });
  assert.ok(named.length >= 8);
  assert.equal(
    named.filter((number) => !sections.has(number)),
    [],
  );
});

test("the README has at most 120 lines beside the tables of results, which a script writes", () => {
  const written = readFileSync(join(root, "README.md"), "utf8").replaceAll(/<!-- results:[\s\S]*?<!-- \/results -->/g, "");
  assert.ok(written.trimEnd().split("\n").length <= 120);
});

test.run();
