/** A headless Chromium to look at pages with, where there is one. */
import { existsSync } from "node:fs";
import type { Browser, Page } from "playwright-core";

const places = [process.env.ONESTEP_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

const softwareGpu = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan", "--use-vulkan=swiftshader"];

/** Starts it, with WebGPU on its software device where `gpu` says so; undefined where none is installed. */
export async function openBrowser({ gpu = false } = {}): Promise<Browser | undefined> {
  const executablePath = places.find((path) => path && existsSync(path));
  const playwright = await import("playwright-core").catch(() => undefined);
  if (!executablePath || !playwright) return undefined;
  return playwright.chromium.launch({ executablePath, timeout: 0, args: ["--no-sandbox", ...(gpu ? softwareGpu : ["--disable-gpu"])] });
}

export interface Look {
  page: Page;
  /** Everything that went wrong in the page, and every address it asked for. */
  errors: string[];
  requests: string[];
}

export async function openPage(
  browser: Browser,
  url: string,
  options: { scheme?: "light" | "dark"; width?: number; ready?: string } = {},
): Promise<Look> {
  const { scheme = "light", width = 1200, ready = ".card" } = options;
  const page = await browser.newPage({ colorScheme: scheme, viewport: { width, height: 800 } });
  page.setDefaultTimeout(0); // the test's own limit ends a wait in vain
  const [errors, requests]: string[][] = [[], []];
  page.on("pageerror", (error) => errors!.push(error.message));
  page.on("console", (message) => message.type() === "error" && errors!.push(message.text()));
  page.on("request", (request) => requests!.push(request.url()));
  await page.goto(url);
  await page.waitForSelector(ready);
  return { page, errors: errors!, requests: requests! };
}

/**
 * Waits until an expression holds in the page, or the page is closed; the test's own limit ends a wait in vain. The page's policy forbids
 * what playwright's own waiting does.
 */
export async function until(page: Page, expression: string): Promise<void> {
  while (!(await page.evaluate(expression))) await new Promise((wake) => setTimeout(wake, 25));
}

/** In the page: the contrast of every piece of text with what lies behind it (WCAG 2's formula). */
export const contrasts = `(() => {
  const channels = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const elements = document.querySelectorAll("h1,h2,h3,p,a,dt,dd,th,td,li,span,b,figcaption,label,button:enabled,svg text");
  const isSeen = (e) => e.getClientRects().length && e.textContent.trim() && getComputedStyle(e).visibility === "visible";
  const texts = [...elements].filter(isSeen);
  return texts.map((element) => {
    const style = getComputedStyle(element);
    const [a, b] = [light(channels(element.closest("svg") ? style.fill : style.color)), light(behind(element))];
    return [element.textContent.trim().slice(0, 40), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
  });
})()`;
