/** The report in headless Chromium. With ONESTEP_SCREENSHOTS=FOLDER what it looks like is kept there. */
import { request as httpRequest } from "node:http";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser } from "playwright-core";
import { inspect } from "../../pipelines/inspect.ts";
import { serve } from "../../pipelines/serve.ts";
import { presetLayer, resolveSettings } from "../../recipes/resolve-settings.ts";
import { shardPath, type Store } from "../../store/shards/store.ts";
import { assert, suite } from "../harness.ts";
import { contrasts, openBrowser, openPage, until } from "./browser.ts";
import { captions, freshFolder, images, listening, served, triples } from "./fixture.ts";

const test = suite("report");
const settings = resolveSettings([presetLayer("smoke")]);
const screenshots = process.env.ONESTEP_SCREENSHOTS;
let browser: Browser | undefined;
let store: Store;
let path = "";

test.before(async () => {
  await mkdir(screenshots ?? freshFolder(), { recursive: true });
  store = await triples({
    entries: 70,
    change: (row) => {
      if (row.id % 11 === 5) return row.id > 40 ? "3 of the 192 values of its latent are not finite" : "the <script> of a reason";
      return {
        ...row,
        caption: row.id === 2 ? "</script><script>alert(1)</script>" : row.caption,
        latent: row.id === 20 ? row.latent.map((value) => 9 * value) : row.latent,
      };
    },
  });
  path = join(freshFolder(), "report.html");
  const { results, context } = listening();
  await inspect({ path: store.folder, html: path, settings, context });
  assert.equal([results.report!.path, results.report!.pictures], [path, 64]);
  browser = await openBrowser();
});
test.after(async () => {
  await browser?.close();
});

async function get(url: string, host?: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const asked = httpRequest(url, { headers: host ? { host } : {} }, async (response) => {
      let text = "";
      for await (const chunk of response) text += chunk;
      resolve({ status: response.statusCode!, text });
    });
    asked.on("error", reject).end();
  });
}

test("it is one file without an address of anything outside", async () => {
  const html = await readFile(path, "utf8");
  assert.not.match(html.replaceAll("http://www.w3.org/2000/svg", ""), /https?:\/\//);
  assert.not.match(html, /<(link|img|script)[^>]*(src|href)="(?!data:|#)/);
  assert.not.match(html, /<script>alert/);
  assert.match(html, /default-src 'none'/);
});

test("a damaged shard is told of, and the gallery does without it", async () => {
  const damaged = await triples({ entries: 24 });
  const bytes = await readFile(shardPath(damaged, 1));
  bytes[bytes.length >> 1]! ^= 1;
  await writeFile(shardPath(damaged, 1), bytes);
  const html = join(freshFolder(), "damaged.html");
  const { results, context } = listening();
  await assert.rejects(inspect({ path: damaged.folder, html, settings, context }), /shard 1 of 3 is damaged: its sha256 is not the one/);
  assert.is(results.report!.pictures, 16);
  assert.match(await readFile(html, "utf8"), /class="damaged wrap">damaged: its sha256 is not the one/);
  const { url, stop } = await served(damaged.folder);
  try {
    while (!JSON.parse((await get(`${url}survey`)).text).sections) await new Promise((wake) => setTimeout(wake, 20));
    const { rows } = JSON.parse((await get(`${url}rows?offset=6&limit=4`)).text) as { rows: { id: number }[] };
    assert.equal(
      rows.map(({ id }) => id),
      [6, 7, 16, 17],
    );
  } finally {
    await stop();
  }
});

test("serves this machine alone, and says what is wrong with a request", async () => {
  const { url, stop } = await served(store.folder);
  try {
    assert.is((await get(url)).status, 200);
    assert.is((await get(url, "evil.example")).status, 403); // a foreign name that resolves to this machine
    const rows = JSON.parse((await get(`${url}rows?offset=24&limit=2&where=${encodeURIComponent("class = 'dog'")}`)).text) as {
      rows: { id: number; class: string; image: string }[];
      more: boolean;
    };
    assert.equal(rows.rows, []);
    const dogs = JSON.parse((await get(`${url}rows?offset=1&limit=2&label=1&words=cat`)).text) as typeof rows;
    assert.equal([dogs.rows.map(({ id }) => id), dogs.more], [[28, 40], true]); // after 4; 16 was rejected
    assert.match(dogs.rows[0]!.image, /^data:image\/png;base64,/);
    const wrong = await get(`${url}rows?offset=0&limit=2&where=lable`);
    assert.equal([wrong.status, /no column/.test(wrong.text)], [400, true]);
    assert.is((await get(`${url}rows?offset=-1&limit=2`)).status, 400);
    assert.is((await get(`${url}rows?offset=0&limit=9999`)).status, 400);
    assert.is((await get(`${url}../../etc/passwd`)).status, 404);
    const port = Number(new URL(url).port);
    await assert.rejects(
      serve({ path: store.folder, port, settings, context: listening().context }),
      /Cannot serve on port \d+: it is taken/,
    );
  } finally {
    await stop();
  }
  await assert.rejects(get(url), "ECONNREFUSED");
});

const chromium = await openBrowser();
await chromium?.close();
if (!chromium) {
  test.skip("works in a browser", "no Chromium was found; name one with ONESTEP_CHROMIUM");
} else {
  const file = () => pathToFileURL(path).href;
  const cards = "[...document.querySelectorAll('.card')]";
  const focusedCard = `${cards}.indexOf(document.activeElement)`; // its number on the page; -1 where none has the focus

  test("shows figures, charts, quarantine and shards, and asks for nothing", async () => {
    const { page, errors, requests } = await openPage(browser!, file());
    assert.match(await page.innerText("#overview"), /64\s+rows of 70 planned/);
    assert.match(await page.innerText(".health"), /row 20 lies/);
    assert.is(await page.locator("#channels figure").count(), 1 + 3 + 3);
    assert.is(await page.locator("#shards tbody tr").count(), 9);
    assert.match(await page.innerText("#quarantine"), /the <script> of a reason/);
    assert.is(await page.locator(".bars i").count(), 3);
    await page.click('[data-row="20"] >> nth=0');
    assert.match(await page.innerText("#close-up-title"), /^Row 20/);
    assert.equal([errors, requests.filter((url) => !/^(file|data):/.test(url))], [[], []]);
    await page.close();
  });

  test("the gallery filters and turns pages", async () => {
    const { page, errors } = await openPage(browser!, file());
    const ids = () => page.locator(".card b").allInnerTexts();
    assert.is(await page.innerText("#status"), "Rows 1 to 24 of 64");
    assert.ok(await page.isDisabled("#before"));
    await page.click("#after");
    assert.is(await page.innerText("#status"), "Rows 25 to 48 of 64");
    await page.selectOption("#class", "1");
    await until(page, "document.getElementById('status').textContent.startsWith('Rows 1 to')");
    assert.ok((await ids()).every((id) => Number(id) % 3 === 1));
    await page.fill("#words", "BLUE dog");
    await until(page, "document.querySelectorAll('.card').length < 10");
    assert.equal((await ids()).map(Number), [1, 13, 25, 37, 61]); // 49 was rejected
    await page.fill("#words", "nothing like this");
    await until(page, "document.getElementById('status').textContent === 'No row fits.'");
    assert.equal(errors, []);
    await page.close();
  });

  test("keys alone reach everything: skip link, arrows over rows and pages, close-up and back", async () => {
    const { page } = await openPage(browser!, file());
    const focused = () => page.evaluate("document.activeElement.textContent.trim()") as Promise<string>;
    const press = async (...keys: string[]) => {
      for (const key of keys) await page.keyboard.press(key);
    };
    await press("Tab");
    assert.is(await focused(), "To the gallery");
    await press("Enter");
    while (!(await page.evaluate("document.activeElement.classList.contains('card')"))) await press("Tab");
    assert.match(await focused(), /^0 /);
    const outline = await page.evaluate(
      "getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).outlineWidth",
    );
    assert.is(outline, "solid3px");
    await press("ArrowRight");
    assert.match(await focused(), /^1 /);
    const across = (await page.evaluate(`${cards}.filter((card, _, [first]) => card.offsetTop === first.offsetTop).length`)) as number;
    assert.ok(across > 3);
    await press("ArrowDown");
    assert.is(await page.evaluate(focusedCard), 1 + across);
    await press("ArrowUp", "End", "ArrowRight"); // past the last of the page
    await until(page, "document.getElementById('status').textContent.startsWith('Rows 25')");
    assert.is(await page.evaluate(focusedCard), 0);
    await press("ArrowLeft");
    await until(page, `${focusedCard} === 23`);
    await press("PageDown");
    await until(page, `document.getElementById('status').textContent.startsWith('Rows 25') && ${focusedCard} === 0`);
    const first = await focused();
    await press("Enter");
    const title = () => page.innerText("#close-up-title");
    assert.match(await title(), new RegExp(`^Row ${first.split(" ")[0]}:`));
    await press("ArrowRight");
    assert.not.match(await title(), new RegExp(`^Row ${first.split(" ")[0]}:`));
    await press("ArrowLeft", "ArrowLeft"); // to the page before
    await until(page, "document.getElementById('status').textContent.startsWith('Rows 1 ')");
    assert.match(await page.innerText("#close-up-facts"), /seed\s+7/);
    await press("Escape");
    assert.is(await page.evaluate("document.getElementById('close-up').open"), false);
    await until(page, `${focusedCard} === 23`); // where the close-up was
    await page.close();
  });

  test("reads well in light and dark and on a narrow screen", async () => {
    for (const [name, scheme, width] of [
      ["light", "light", 1200],
      ["dark", "dark", 1200],
      ["narrow", "dark", 360],
    ] as const) {
      const { page } = await openPage(browser!, file(), { scheme, width });
      assert.ok((await page.evaluate("document.documentElement.scrollWidth <= innerWidth")) as boolean, `${name} is wider than its screen`);
      const ratios = (await page.evaluate(contrasts)) as [string, number][];
      for (const [words, ratio] of ratios) assert.ok(ratio >= 4.5, `"${words}" has a contrast of ${ratio} in ${name}`); // WCAG 2.2, 1.4.3
      assert.ok(ratios.length > 30);
      if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });
      await page.close();
    }
  });

  test("served, it decodes rows on demand, follows the reading of the store and takes conditions", async () => {
    const latents = await images(60);
    const { url, stop } = await served(latents.folder);
    try {
      const { page, errors, requests } = await openPage(browser!, url);
      await page.waitForSelector(".figures");
      assert.match(await page.innerText("#overview"), /60\s+rows of 60 planned/);
      assert.is(await page.locator(".card img").count(), 24); // images have no noise
      await page.click("#after");
      await until(page, "document.getElementById('status').textContent === 'Rows 25 to 48'");
      await page.fill("#where", "index >= 50 and caption is null");
      await until(page, "document.querySelectorAll('.card').length === 3");
      assert.equal(await page.locator(".card b").allInnerTexts(), ["51", "55", "59"]);
      await page.fill("#where", "index >");
      await until(page, "document.getElementById('error').textContent !== ''");
      assert.match(await page.innerText("#error"), /it ends too early, expected a number/);
      await page.fill("#where", "");
      await page.fill("#words", captions[0]!);
      await until(page, "document.querySelectorAll('.card').length === 15");
      assert.equal(
        errors.filter((error) => !/400/.test(error)),
        [],
      ); // the wrong condition was answered with 400
      assert.ok(requests.every((address) => address.startsWith(url) || address.startsWith("data:")));
      if (screenshots) await page.screenshot({ path: join(screenshots, "served.png"), fullPage: true });
      await page.close();
    } finally {
      await stop();
    }
  });
}

test.run();
