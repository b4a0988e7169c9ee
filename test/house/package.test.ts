/**
 * The published package, packed and unpacked into a project with nothing but its dependencies: its examples compile and run there,
 * its pages are those of a checkout.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { inspect } from "../../pipelines/inspect.ts";
import { presetLayer, resolveSettings } from "../../recipes/resolve-settings.ts";
import { runPage } from "../../stages/runs/page.ts";
import { assert, suite } from "../harness.ts";
import { openBrowser, openPage } from "../inspect/browser.ts";
import { freshFolder, listening, triples } from "../inspect/fixture.ts";

const test = suite("package");
const run = promisify(execFile);
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
let packed = "";
let unpacked = "";
let size = 0;
let files: string[] = [];

/** A project of a user's: the package in node_modules, and beside it what it depends on, but none of what only a checkout has. */
async function createProject(tarball: string): Promise<string> {
  const project = freshFolder();
  const modules = join(project, "node_modules");
  const { packages } = JSON.parse(await readFile(join(root, "package-lock.json"), "utf8")) as {
    packages: Record<string, { dev?: boolean; peer?: boolean }>;
  };
  for (const [path, { dev, peer }] of Object.entries(packages)) {
    const [, name] = /^node_modules\/((?:@[^/]+\/)?[^/]+)$/.exec(path) ?? [];
    if (name === undefined || dev || peer || !existsSync(join(root, path))) continue;
    await mkdir(dirname(join(modules, name)), { recursive: true });
    await symlink(join(root, path), join(modules, name));
  }
  await mkdir(join(project, "unpacked"), { recursive: true });
  await run("tar", ["-xzf", tarball, "-C", join(project, "unpacked")]);
  await cp(join(project, "unpacked/package"), join(modules, "onestep"), { recursive: true });
  await writeFile(join(project, "package.json"), JSON.stringify({ type: "module" }));
  return project;
}

let project = "";

test.after(() => rm(join(root, "dist"), { recursive: true, force: true }));

test.before(
  async () => {
    const folder = freshFolder();
    await mkdir(folder, { recursive: true });
    await rm(join(root, "dist"), { recursive: true, force: true });
    for (const part of ["tsconfig.build.json", "stages/inspect/report/browser/tsconfig.build.json"]) {
      await run(join(root, "node_modules/.bin/tsc"), ["-p", part, "--noCheck"], { cwd: root }); // `npm run types` checks them
    }
    const { stdout } = await run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], { cwd: root });
    const [made] = JSON.parse(stdout.slice(stdout.indexOf("[\n"))) as [{ filename: string; size: number; files: { path: string }[] }];
    size = made.size;
    files = made.files.map(({ path }) => path);
    packed = join(folder, made.filename);
    project = await createProject(packed);
    unpacked = join(project, "node_modules/onestep");
  },
  { seconds: 480 },
);

test("it is smaller than 12 MB, and holds the product alone", () => {
  assert.ok(size < 12e6, `it has ${size} bytes`);
  const isStray = (path: string): boolean =>
    /(^|\/)test\/|\.map$/.test(path) || (/\.m?ts$/.test(path) && !/\.d\.m?ts$|^docs\/examples\//.test(path));
  assert.equal(files.filter(isStray), []);
});

test(
  "publint and are-the-types-wrong find nothing",
  async () => {
    const tool = (name: string, ...words: string[]) => run(join(root, "node_modules/.bin", name), words, { cwd: root });
    await tool("publint", packed, "--strict");
    await tool("attw", packed, "--profile", "esm-only");
  },
  { seconds: 120 },
);

const examples = ["own-pipeline.ts", "own-method.ts", "train-own.ts"];
const told = [/36 rows, 4 rejected\n(a record batch of \d+ rows\n){3}/, /4 pictures of 16 x 16\n/];

test(
  "a pipeline and a method of one's own compile in a user's project, and run there in TypeScript",
  async () => {
    const place = join(project, "typescript");
    await cp(join(root, "docs/examples"), place, { recursive: true });
    const strict = ["--noEmit", "--strict", "--skipLibCheck", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess"];
    const target = ["--module", "nodenext", "--target", "es2022", "--types", "node", "--typeRoots", join(root, "node_modules/@types")];
    await run(join(root, "node_modules/.bin/tsc"), [...strict, ...target, ...examples.map((name) => join(place, name))], { cwd: place });
    const loader = "typescript" in process.features && process.features.typescript ? [] : ["--import", "tsx"];
    if (loader.length > 0) await symlink(join(root, "node_modules/tsx"), join(project, "node_modules/tsx"));
    for (const [i, name] of ["own-pipeline.ts", "train-own.ts"].entries()) {
      assert.match((await run(process.execPath, [...loader, name], { cwd: place })).stdout, told[i]!);
    }
  },
  { seconds: 360 },
);

test(
  "they run in JavaScript, which is the same without the types",
  async () => {
    const place = join(project, "javascript");
    await mkdir(place);
    const { default: ts } = await import("typescript");
    const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true };
    for (const name of examples) {
      const { outputText } = ts.transpileModule(await readFile(join(root, "docs/examples", name), "utf8"), { compilerOptions });
      await writeFile(join(place, name.replace(".ts", ".js")), outputText.replace('"own-method.ts"', '"own-method.js"'));
    }
    for (const [i, name] of ["own-pipeline.js", "train-own.js"].entries()) {
      assert.match((await run(process.execPath, [name], { cwd: place })).stdout, told[i]!);
    }
  },
  { seconds: 240 },
);

/** Other runtimes to try, as the paths of their programs. */
const { ONESTEP_RUNTIMES: runtimes = "" } = process.env;
if (runtimes === "")
  test.skip("they run by other runtimes", "ONESTEP_RUNTIMES names none: paths of node, bun or deno, with commas between");
for (const program of runtimes.split(",").filter(Boolean)) {
  test(
    `they run by ${program}`,
    async () => {
      const place = await mkdtemp(join(project, "runtime-"));
      await cp(join(project, "javascript"), place, {
        recursive: true,
        filter: (path) => !/javascript.(latents|teacher|triples|student)$/.test(path),
      });
      const words = basename(program).startsWith("deno") ? ["run", "-A", "--node-modules-dir=manual"] : [];
      for (const [i, name] of ["own-pipeline.js", "train-own.js"].entries()) {
        assert.match((await run(program, [...words, name], { cwd: place })).stdout, told[i]!);
      }
    },
    { seconds: 240 },
  );
}

test("the guide shows the very examples, and the pipeline has thirty lines", async () => {
  const guide = await readFile(join(root, "docs/GUIDE.md"), "utf8");
  for (const name of examples) {
    const source = await readFile(join(root, "docs/examples", name), "utf8");
    assert.ok(guide.includes(source), `docs/GUIDE.md shows another ${name}`);
    if (name === "own-pipeline.ts") assert.ok(source.split("\n").filter((line) => /^[^/]/.test(line)).length <= 30, "it has grown");
  }
});

test("nothing else can be imported", async () => {
  await writeFile(join(project, "inside.js"), 'await import("onestep/store/store");');
  const error = await assert.rejects(() => run(process.execPath, [join(project, "inside.js")]));
  assert.match(error.message, /ERR_PACKAGE_PATH_NOT_EXPORTED/);
});

/** A page without its scripts and their hashes: the loader of a checkout writes them in other words than the build. */
const withoutScripts = (html: string): string => html.replace(/<script>.*?<\/script>/gs, "").replace(/script-src 'sha256-[\w+/=]+'/, "");

test(
  "its report has the style and the script of the checkout's",
  async () => {
    const { folder } = await triples({ entries: 40 });
    const [built, source] = [join(unpacked, "report.html"), join(unpacked, "source.html")];
    await run(process.execPath, [join(unpacked, "bin/pipeline"), "inspect", folder, "--html", built]);
    await inspect({ path: folder, html: source, settings: resolveSettings([presetLayer("smoke")]), context: listening().context });
    const html = await readFile(built, "utf8");
    assert.is(withoutScripts(html), withoutScripts(await readFile(source, "utf8")));
    assert.match(html, /<style>\/\* The looks of the report/);
    const browser = await openBrowser();
    if (!browser) return;
    try {
      const { page, errors } = await openPage(browser, pathToFileURL(built).href);
      assert.is(await page.innerText("#status"), "Rows 1 to 24 of 40");
      await page.click("#after");
      assert.is(await page.innerText("#status"), "Rows 25 to 40 of 40");
      assert.equal(errors, []);
    } finally {
      await browser.close();
    }
  },
  { seconds: 120 },
);

test("its run page is that of the checkout", async () => {
  const built = (await import(pathToFileURL(join(unpacked, "dist/stages/runs/page.js")).href)) as { runPage: typeof runPage };
  const state = { folder: "run", name: "train", state: "training", step: 5, steps: 8, batch: 4, rate: 2, time: new Date(0) } as const;
  const page = { ...state, history: [], groups: [], findings: [], settings: "seed: 0\n" };
  assert.is(built.runPage(page), runPage(page));
  assert.match(runPage(page), /<style>\/\* The looks of run.html/);
});

test.run();
