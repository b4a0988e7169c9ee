/** A headless Chromium to look at pages with, where there is one. */
import { existsSync } from "node:fs";
import type { Browser, Page } from "playwright-core";

const places = [process.env.ONESTEP_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Starts it; undefined where none is installed. */
export async function openBrowser(): Promise<Browser | undefined> {
  const executablePath = places.find((path) => path && existsSync(path));
  const playwright = await import("playwright-core").catch(() => undefined);
  if (!executablePath || !playwright) return undefined;
  return playwright.chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
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
  const [errors, requests]: string[][] = [[], []];
  page.on("pageerror", (error) => errors!.push(error.message));
  page.on("console", (message) => message.type() === "error" && errors!.push(message.text()));
  page.on("request", (request) => requests!.push(request.url()));
  await page.goto(url);
  await page.waitForSelector(ready);
  return { page, errors: errors!, requests: requests! };
}

/** Waits until an expression holds in the page; its policy forbids what playwright's own waiting does. */
export async function until(page: Page, expression: string): Promise<void> {
  for (let left = 400; !(await page.evaluate(expression)); left--) {
    if (left === 0) throw new Error(`"${expression}" never held`);
    await new Promise((wake) => setTimeout(wake, 25));
  }
}
