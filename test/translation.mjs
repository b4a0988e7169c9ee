/**
 * Loads the project's modules as the JavaScript that translate.mjs made of each, under their own names: `node --import` this, with
 * ONESTEP_BUILT naming its folder. Translating in each process, as tsx does, takes more than a second of a file's start.
 */
import { existsSync, readFileSync } from "node:fs";
import { register } from "node:module";
import { pathToFileURL } from "node:url";
import { isMainThread } from "node:worker_threads";

const { ONESTEP_BUILT: folder = "" } = process.env;
const root = new URL("../", import.meta.url).href;
const made = `${pathToFileURL(folder).href}/apart/`;

if (isMainThread) register(import.meta.url); // its hooks run in a thread of their own; compute workers start from made files anyway

/** Where the JavaScript of a TypeScript module of this project lies, or undefined: it has none. */
function translated(url) {
  if (!url.startsWith(root) || url.startsWith(made) || !/\.m?ts$/.test(url)) return undefined;
  const file = new URL(made + url.slice(root.length).replace(/ts$/, "js"));
  return existsSync(file) ? file : undefined;
}

/** In what was translated, imports name the made files: they mean the sources beside the importer. */
export async function resolve(specifier, context, next) {
  if (/^\.\.?\/.*\.m?js$/.test(specifier) && context.parentURL && translated(context.parentURL)) {
    const url = new URL(specifier.replace(/js$/, "ts"), context.parentURL).href;
    if (translated(url)) return { url, format: "module", shortCircuit: true };
  }
  return next(specifier, context);
}

export async function load(url, context, next) {
  const file = translated(url);
  return file ? { format: "module", source: readFileSync(file), shortCircuit: true } : next(url, context);
}
