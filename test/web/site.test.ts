/** A site in headless Chromium. With ONESTEP_SCREENSHOTS=FOLDER what it looks like is kept there. */
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { writeSite } from "../../stages/export/web/site.ts";
import { assert, suite } from "../harness.ts";
import { contrasts, openBrowser, openPage, until } from "../inspect/browser.ts";
import { freshFolder, served } from "../inspect/fixture.ts";
import { captions, expected, expectedOfLoop, noiseOf, writeModel } from "./fixture.ts";

const test = suite("web page");
const screenshots = process.env.ONESTEP_SCREENSHOTS;
const sites = { caption: freshFolder(), class: freshFolder() };
let browser: Browser | undefined;

test.before(async () => {
  if (screenshots) await mkdir(screenshots, { recursive: true });
  await writeModel(join(sites.caption, "model"), "caption");
  await writeModel(join(sites.caption, "teacher"), "caption", { isLoop: true });
  await writeModel(join(sites.class, "model"), "class");
  await writeSite({ out: sites.class, title: "</title><script>hit=1</script>" });
  browser = await openBrowser();
});
test.after(async () => {
  await browser?.close();
});

test("a site is whole, small, and names no other place", async () => {
  const { ownBytes, site } = await writeSite({ out: sites.caption, title: "tiny" });
  assert.ok(ownBytes <= 60_000, `${ownBytes} bytes of our own`);
  const files = JSON.parse(await readFile(join(sites.caption, "files.json"), "utf8")) as string[];
  for (const file of [...files, "sw.js", site.runtimes.wasm.program.file, site.runtimes.webgpu.program.file])
    assert.ok(existsSync(join(sites.caption, file)), `${file} is not there`);
  const own = files.filter((file) => /\.(js|css|json)$|^\.\/$/.test(file)).map((file) => (file === "./" ? "index.html" : file));
  for (const file of [...own, "sw.js"]) assert.not.match(await readFile(join(sites.caption, file), "utf8"), /(https?|wss?):\/\//, file);
  assert.match(await readFile(join(sites.class, "index.html"), "utf8"), /<h1>&lt;\/title&gt;/);
});

if (!(await openBrowser().then((found) => found?.close().then(() => true)))) {
  test.skip("draws in a browser", "no Chromium was found; name one with ONESTEP_CHROMIUM");
} else {
  const drawnIs = (link: string) => `document.getElementById("picture").dataset.shows === ${JSON.stringify(link)}`;
  const patience = { seconds: 150 }; // ONNX Runtime is 14 MB to compile in each page, on machines that have other work
  const isWhole = "document.querySelectorAll('#grid canvas.drawn').length === 12";

  /** That a canvas shows these values in -1..1, to 1e-3 before they were rounded. */
  async function shows(page: Page, id: string, values: readonly number[]): Promise<void> {
    const read = `[...document.getElementById("${id}").getContext("2d").getImageData(0, 0, 8, 8).data]`;
    const pixels = ((await page.evaluate(read)) as number[]).filter((_, i) => i % 4 !== 3);
    const far = Math.max(...pixels.map((pixel, i) => Math.abs(pixel - Math.min(255, Math.max(0, (values[i]! + 1) * 127.5))))) - 0.5;
    assert.ok(far / 127.5 <= 1e-3, `${id} differs by ${far / 127.5}`);
  }

  test(
    "a class, a caption, a walk, variations, the teacher and the keys draw what their formulas say, and nothing leaves the origin",
    async () => {
      const { url, stop } = await served(sites.caption);
      try {
        const { page, errors, requests } = await openPage(browser!, `${url}#caption=a+cat+by+the+sea&seed=5&index=2`, { ready: "h1" });
        const caption = "a cat by the sea";
        await until(page, drawnIs("caption=a+cat+by+the+sea&seed=5&index=2"));
        await shows(page, "picture", expected(noiseOf({ seed: 5, index: 2 }), { caption }));
        assert.is(await page.evaluate("crossOriginIsolated"), true);
        assert.match(await page.innerText("#engine"), /^WebAssembly, \d+ threads?, \d+ ms a picture$/);
        await until(page, isWhole);
        await shows(page, "variation-7", expected(noiseOf({ seed: 5, index: 7 }), { caption }));
        if (screenshots) await page.screenshot({ path: join(screenshots, "page.png"), fullPage: true });

        await page.locator("#walk").evaluate((slider: { value: string; dispatchEvent: (event: Event) => void }) => {
          slider.value = "500";
          slider.dispatchEvent(new Event("input"));
        });
        await until(page, drawnIs("caption=a+cat+by+the+sea&seed=5&index=2&to=5.3&at=0.5"));
        const [from, to] = [noiseOf({ seed: 5, index: 2 }), noiseOf({ seed: 5, index: 3 })];
        const half = Array.from(from, (value, i) => Math.SQRT1_2 * (value + to[i]!));
        await shows(page, "picture", expected(half, { caption }));

        await page.fill("#caption", "");
        await page.type("#caption", "наутро 🐈 n", { delay: 5 }); // no letter of it is a command
        await until(page, "document.getElementById('picture').dataset.shows.includes('+n&seed=5')");
        await shows(page, "picture", expected(half, { caption: "наутро 🐈 n" }));
        await page.keyboard.press("Enter");
        await page.keyboard.press("Space"); // plays
        await until(page, "document.getElementById('play').getAttribute('aria-pressed') === 'true'");
        await page.keyboard.press("n");
        await until(page, "!/seed=5&/.test(location.hash) && document.getElementById('play').getAttribute('aria-pressed') === 'false'");
        await page.goBack();
        await until(page, "/seed=5&/.test(location.hash)");

        await page.fill("#seed", "11");
        await page.click(`.example >> text="${captions[2]}"`);
        await until(page, drawnIs("caption=owls&seed=11"));
        await page.keyboard.press("t");
        await until(page, "document.querySelector('#teacher-picture.drawn:not(.stale)') !== null");
        await shows(page, "teacher-picture", expectedOfLoop({ seed: 11, index: 0 }, { caption: "owls" }));
        await page.focus("#grid button");
        await page.keyboard.press("ArrowRight");
        await page.keyboard.press("Enter");
        await until(page, drawnIs("caption=owls&seed=11&index=1"));
        const download = page.waitForEvent("download");
        await page.click("#save");
        assert.is((await download).suggestedFilename(), "owls-11-1.png");
        assert.equal(errors, []);
        assert.equal(
          requests.filter((address) => !address.startsWith(url) && !/^(data|blob):/.test(address)),
          [],
        );
        await page.evaluate("navigator.serviceWorker.ready.then(() => true)");
        await page.waitForTimeout(200);
        await stop();
        await page.reload(); // there is no server any more
        await until(page, drawnIs("caption=owls&seed=11&index=1"));
        await shows(page, "picture", expected(noiseOf({ seed: 11, index: 1 }), { caption: "owls" }));
        await page.context().close();
      } finally {
        await stop();
      }
    },
    patience,
  );

  test(
    "reads well in light and dark and on a narrow screen, and draws by class",
    async () => {
      const { url, stop } = await served(sites.class);
      try {
        for (const [name, scheme, width] of [
          ["wide", "light", 1200],
          ["narrow", "dark", 360],
        ] as const) {
          const { page, errors } = await openPage(browser!, `${url}?device=wasm#class=owl&seed=3`, { ready: "h1", scheme, width });
          await until(page, drawnIs("class=owl&seed=3"));
          await shows(page, "picture", expected(noiseOf({ seed: 3, index: 0 }), { label: 2 }));
          await page.click('.classes label >> text="dog"');
          await until(page, drawnIs("class=dog&seed=3"));
          assert.ok(
            (await page.evaluate("document.documentElement.scrollWidth <= innerWidth")) as boolean,
            `${name} is wider than its screen`,
          );
          const ratios = (await page.evaluate(contrasts)) as [string, number][];
          for (const [words, ratio] of ratios) assert.ok(ratio >= 4.5, `"${words}" has a contrast of ${ratio} in ${name}`);
          assert.equal([errors, await page.evaluate("window.hit")], [[], undefined]);
          if (screenshots) await page.screenshot({ path: join(screenshots, `page-${name}.png`), fullPage: true });
          await page.close();
        }
      } finally {
        await stop();
      }
    },
    patience,
  );

  test(
    "a broken download goes on where it broke off, also on a later visit, and a wrong file is not used",
    async () => {
      const { url, stop } = await served(sites.class);
      try {
        const { page } = await openPage(browser!, url, { ready: "h1" });
        await until(page, drawnIs("class=cat&seed=0")); // by then the page has forgotten what it does not need
        const seen = (await page.evaluate(downloads)) as {
          ranges: (string | null)[];
          again: string;
          sound: boolean;
          wrong: string;
          kept: number;
        };
        assert.equal(seen.ranges, [null, "bytes=6000000-", `bytes=9000000-`]);
        assert.match(seen.again, /answers 500/);
        assert.ok(seen.sound);
        assert.match(seen.wrong, /^big is not the file this page was made with/);
        assert.is(seen.kept, 0);
        await page.close();
      } finally {
        await stop();
      }
    },
    patience,
  );

  test(
    "WebGPU draws the same, on its software device where there is no other",
    async () => {
      const other = (await openBrowser({ gpu: true })) as Browser;
      const { url, stop } = await served(sites.caption);
      try {
        const { page, errors } = await openPage(other, `${url}?device=webgpu#caption=owls&seed=4`, { ready: "h1" });
        const hasGpu = await page.evaluate("navigator.gpu?.requestAdapter().then((found) => found !== null) ?? false");
        if (!hasGpu) return void console.log("no WebGPU in this Chromium");
        await until(page, drawnIs("caption=owls&seed=4"));
        await shows(page, "picture", expected(noiseOf({ seed: 4, index: 0 }), { caption: "owls" }));
        assert.match(await page.innerText("#engine"), /^WebGPU, \d+ ms a picture$/);
        assert.equal(errors, []);
      } finally {
        await stop();
        await other.close();
      }
    },
    patience,
  );

  test(
    "captions are read by a published tokenizer, and weights that lie beside a graph are loaded",
    async () => {
      const out = freshFolder();
      await writeModel(join(out, "model"), "caption", { isPublished: true });
      const { ownBytes, site } = await writeSite({ out, title: "published" });
      assert.ok(ownBytes <= 60_000);
      assert.ok((JSON.parse(await readFile(join(out, "files.json"), "utf8")) as string[]).includes(site.tokenizers!));
      const { url, stop } = await served(out);
      try {
        for (const [caption, ids] of [
          ["A cat", [2, 10, 11, 1, 0, 0, 0, 0]],
          ["owls cat cat dog cat cat", [2, 12, 13, 11, 11, 3, 11, 1]], // seven pieces where six have room
        ] as const) {
          const link = `caption=${caption.replaceAll(" ", "+")}&seed=4`;
          const { page, errors } = await openPage(browser!, `${url}?device=wasm#${link}`, { ready: "h1" });
          await until(page, drawnIs(link));
          await shows(page, "picture", expected(noiseOf({ seed: 4, index: 0 }), { ids: [...ids] }));
          assert.equal(errors, []);
          await page.context().close();
        }
      } finally {
        await stop();
      }
    },
    patience,
  );

  test(
    "what keeps a page from drawing is said in words",
    async () => {
      const { url, stop } = await served(sites.class);
      try {
        const page = await browser!.newPage();
        await page.addInitScript("delete globalThis.WebAssembly");
        await page.goto(url);
        await until(page, "!document.getElementById('trouble').hidden");
        assert.match(await page.innerText("#trouble"), /^This browser runs no WebAssembly.*Open the page in a current Chrome/);
        await page.close();
        const other = await browser!.newPage();
        await other.route("**/generator.onnx", (route) => route.fulfill({ status: 404, body: "" }));
        await other.goto(url);
        await until(other, "!document.getElementById('trouble').hidden");
        assert.match(await other.innerText("#trouble"), /^The server answers 404 for \/model\/generator\.onnx/);
        await other.close();
      } finally {
        await stop();
      }
    },
    patience,
  );
}

/** In the page: a file of 10 MB by a connection that breaks at 6 MB, a server that fails at 9 MB, and a second visit. */
const downloads = `(async () => {
  const { loadAsset } = await import("./code/stages/export/web/browser/assets.js");
  const content = Uint8Array.from({ length: 10e6 }, (_, i) => (i * 7) % 251);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const ranges = [];
  const fetched = fetch;
  globalThis.fetch = async (address, { headers = {} } = {}) => {
    if (!String(address).endsWith("/big")) return fetched(address);
    const range = headers.range ?? null;
    if (ranges.length === 2 && !globalThis.visited) return new Response("", { status: 500 });
    ranges.push(range);
    const from = range === null ? 0 : Number(/\\d+/.exec(range)[0]);
    const to = [6e6, 9e6, 10e6][ranges.length - 1];
    let at = from;
    const body = new ReadableStream({
      pull(stream) {
        if (at === to) return to < 10e6 ? stream.error(new TypeError("network error")) : stream.close();
        stream.enqueue(content.slice(at, (at = Math.min(to, at + 500_000))));
      },
    });
    return new Response(body, { status: range === null ? 200 : 206 });
  };
  const asset = { file: "big", bytes: 10e6, sha256 };
  const again = await loadAsset(asset, location.href, () => {}).then(String, ({ message }) => message);
  globalThis.visited = true;
  const whole = await loadAsset(asset, location.href, () => {});
  const sound = whole.length === content.length && whole.every((value, i) => value === content[i]);
  await (await caches.open("onestep-files")).put(new URL("kept/" + "0".repeat(64) + "/0", location.href), new Response(content));
  const wrong = await loadAsset({ ...asset, sha256: "0".repeat(64) }, location.href, () => {}).then(String, ({ message }) => message);
  const keys = await (await caches.open("onestep-files")).keys();
  return { ranges, again, sound, wrong, kept: keys.filter(({ url }) => url.includes("/" + "0".repeat(64))).length };
})()`;

test.run();
