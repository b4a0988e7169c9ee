/** Loads one method, without the others: what a worker needs. */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Failure } from "../schemas/failure.ts";
import type { Method } from "./method.ts";

/** Any method; what its settings are only its own file knows. */
export type AnyMethod = Method<never>;

/** The ending of this folder's files: those of a checkout, or built JavaScript. */
export const methodEnding = import.meta.url.endsWith(".ts") ? ".ts" : ".js";

/**
 * Loads a method of this folder by its name, or one of somebody's own from the file with that URL. Throws a Failure where the file
 * does not export a method of that name.
 */
export async function loadMethod(name: string, file?: string): Promise<AnyMethod> {
  const { href } = new URL(file ?? `./${name}${methodEnding}`, import.meta.url);
  if (file !== undefined) await readTypes(href);
  const { method } = (await import(href)) as { method?: AnyMethod };
  if (method?.name !== name)
    throw new Failure(`Cannot use the method "${name}": ${file ?? `methods/${name}${methodEnding}`} does not export it as \`method\`.`);
  return method;
}

/** Loads the method that a file outside of this folder exports. Throws a Failure where that cannot be loaded, or is none for students. */
export async function loadOwnMethod(file: URL): Promise<AnyMethod> {
  const refused = (why: string, cause?: unknown): Failure => new Failure(`Cannot use the method in ${file.href}: ${why}.`, { cause });
  await readTypes(file.href);
  const { method } = (await import(file.href).catch((error) => {
    throw refused(`it cannot be loaded (${(error as Error).message.split("\n")[0]})`, error);
  })) as { method?: Partial<AnyMethod> };
  if (method === undefined) throw refused("it exports no `method`. See docs/ADD-A-METHOD.md");
  const lacking = (["name", "about", "source", "settings", "needs", "parts", "programs", "step", "figures"] as const).filter(
    (key) => method[key] === undefined,
  );
  if (lacking.length > 0) throw refused(`its \`method\` lacks ${lacking.join(", ")}. See docs/ADD-A-METHOD.md`);
  if (method.makes !== "student") throw refused(`it makes "${method.makes}", expected "student"`);
  return method as AnyMethod;
}

let registered = false;

/**
 * Makes a TypeScript file one that can be imported in this thread. Node does so from 22.18 on, as does whatever runs a checkout; before,
 * tsx of the file's own project must. Throws a Failure where that is not installed.
 */
async function readTypes(href: string): Promise<void> {
  const { typescript } = process.features as { typescript?: unknown };
  if (registered || typescript || methodEnding === ".ts" || !/\.m?ts$/.test(href)) return;
  let entry: string;
  try {
    const script = createRequire(href).resolve("tsx/esm/api");
    entry = script.replace(/\.cjs$/, ".mjs"); // the script of tsx 4.23 seeks its hooks in the wrong folder
  } catch (cause) {
    const remedy = "Install tsx beside it, use Node 22.18 or newer, or name a file of JavaScript";
    throw new Failure(`Cannot use the method in ${href}: Node ${process.versions.node} reads no TypeScript. ${remedy}.`, { cause });
  }
  const tsx = (await import(pathToFileURL(entry).href)) as { register: () => unknown };
  tsx.register();
  registered = true;
}
