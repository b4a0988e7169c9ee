/** The page's own JavaScript: modules of this package as a browser loads them, one file each, in the folders they have here. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import * as nodeModule from "node:module";
import { Failure } from "../../../schemas/failure.ts";

/** The folder that holds stages/: the package's own in a checkout, dist/ in the published package. */
const root = new URL("../../../", import.meta.url);
const isSource = import.meta.url.endsWith(".ts");

/**
 * The modules that `entries` (paths from the folder of stages/, without their extension) import, themselves included: JavaScript by the
 * path of its file, such as "schemas/numbers/philox.js". Types are taken out by what runs this program from its TypeScript.
 */
export async function modulesOf(entries: readonly string[]): Promise<Map<string, string>> {
  const modules = new Map<string, string>();
  const waiting = [...entries];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (modules.has(`${path}.js`)) continue;
    const text = await javaScriptOf(path);
    modules.set(`${path}.js`, text);
    for (const [, imported] of text.matchAll(/(?:^|;)\s*(?:import|export)\b[^;"]*?"(\.[^"]+)\.js"/gm)) {
      waiting.push(new URL(imported as string, `file:///${path}`).pathname.slice(1));
    }
  }
  return modules;
}

async function javaScriptOf(path: string): Promise<string> {
  const text = await readFile(new URL(`${path}${isSource ? ".ts" : ".js"}`, root), "utf8");
  const plain = await lean(text, isSource ? "ts" : "js");
  // Imports of types alone have gone with the types; those that are left are of files that will be JavaScript.
  return plain.replace(/((?:^|;)\s*(?:import|export)\b[^;"]*?"\.[^"]+)\.ts"/gm, '$1.js"').replace(/^export\s*\{\};?\s*$/m, "");
}

/**
 * A module or style sheet without types, comments and white space that nobody needs: by esbuild, which comes with tsx. Where it is
 * absent, Node itself takes the types out, and the rest stays.
 */
export async function lean(text: string, loader: "ts" | "js" | "css"): Promise<string> {
  const { stripTypeScriptTypes } = nodeModule as { stripTypeScriptTypes?: (text: string) => string };
  const esbuild = compiler();
  if (esbuild) return (await esbuild.transform(text, { loader, target: "es2022", minifyWhitespace: true, minifySyntax: true })).code;
  if (loader !== "ts") return text;
  if (stripTypeScriptTypes) return stripTypeScriptTypes(text);
  throw new Failure("Cannot write the page's code: nothing takes the types out of it. Install this package's dependencies: npm ci.");
}

function compiler(): { transform: (text: string, options: object) => Promise<{ code: string }> } | undefined {
  try {
    return createRequire(createRequire(import.meta.url).resolve("tsx"))("esbuild");
  } catch {
    return undefined;
  }
}
