/** The published package: packed, unpacked and run, its pages are those of a checkout. */
import { execFile } from "node:child_process";
import { mkdir, readFile, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
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
let unpacked = "";

test.before(
  async () => {
    const folder = freshFolder();
    await mkdir(folder, { recursive: true });
    const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], { cwd: root });
    const [{ filename }] = JSON.parse(stdout.slice(stdout.indexOf("[\n"))) as [{ filename: string }];
    await run("tar", ["-xzf", join(folder, filename), "-C", folder]);
    unpacked = join(folder, "package");
    await symlink(join(root, "node_modules"), join(unpacked, "node_modules"));
  },
  { seconds: 240 },
);

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
