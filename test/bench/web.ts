/**
 * Prints how fast a site of `export --format web` draws in headless Chromium, beside Node's own figure:
 * `node --import tsx test/bench/web.ts`. SITE (data/runs/demo/site), SECONDS (10), ROUNDS (3) come from the environment; `--out FILE.json`.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Page } from "playwright-core";
import type { OnestepJson } from "../../schemas/onestep-json.ts";
import { openBrowser, until } from "../inspect/browser.ts";
import { served } from "../inspect/fixture.ts";
import { openBench, rounded } from "./record.ts";

const { settings, record } = openBench({ SITE: "data/runs/demo/site", SECONDS: "10", ROUNDS: "3" });
const browser = await openBrowser();
if (!browser) throw new Error("no Chromium was found; name one with ONESTEP_CHROMIUM");
const { speed } = JSON.parse(await readFile(join(settings.SITE, "model", "onestep.json"), "utf8")) as OnestepJson;
const { url, stop } = await served(settings.SITE);

/** In the page: how often the picture changes in so many seconds of the walk, and the middle of what the page says each took. */
const walk = (seconds: number): string => `new Promise((done) => {
  let pictures = 0;
  const watch = new MutationObserver(() => pictures++);
  watch.observe(document.getElementById("picture"), { attributes: true, attributeFilter: ["data-shows"] });
  document.getElementById("play").click();
  setTimeout(() => {
    document.getElementById("play").click();
    done([pictures / ${seconds}, Number(/(\\d+) ms a picture/.exec(document.getElementById("engine").textContent)[1])]);
  }, ${seconds * 1000});
})`;

async function measured(page: Page): Promise<{ first: number; rate: number; each: number }> {
  const started = performance.now();
  await page.goto(`${url}?device=wasm`);
  await until(page, "document.getElementById('picture').dataset.shows !== undefined");
  const first = performance.now() - started;
  await until(page, "document.querySelectorAll('#grid canvas.drawn').length === 12");
  const [rate, each] = (await page.evaluate(walk(Number(settings.SECONDS)))) as [number, number];
  return { first, rate, each };
}

for (let round = 0; round < Number(settings.ROUNDS); round++) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 860 } }); // nothing is kept from the round before
  const { first, rate, each } = await measured(await context.newPage());
  await context.close();
  const then = `then ${rate.toFixed(1)} a second (${each} ms each)`;
  console.log(`first picture after ${(first / 1000).toFixed(2)} s, ${then}; Node ${speed.image.toFixed(1)} ms`);
  record({
    ...{ device: "wasm", "first picture, s": rounded(first / 1000), "pictures a second": rounded(rate) },
    ...{ "ms a picture": each, "ms a picture by Node": rounded(speed.image) },
  });
}
await stop();
await browser.close();
