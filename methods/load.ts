/** Loads one method, without the others: what a worker needs. */
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
  const { method } = (await import(href)) as { method?: AnyMethod };
  if (method?.name !== name)
    throw new Failure(`Cannot use the method "${name}": ${file ?? `methods/${name}${methodEnding}`} does not export it as \`method\`.`);
  return method;
}

/** Loads the method that a file outside of this folder exports. Throws a Failure where that cannot be loaded, or is none for students. */
export async function loadOwnMethod(file: URL): Promise<AnyMethod> {
  const refused = (why: string, cause?: unknown): Failure => new Failure(`Cannot use the method in ${file.href}: ${why}.`, { cause });
  const { method } = (await import(file.href).catch((error) => {
    throw refused(`it cannot be loaded (${(error as Error).message})`, error);
  })) as { method?: Partial<AnyMethod> };
  if (method === undefined) throw refused("it exports no `method`. See docs/ADD-A-METHOD.md");
  const lacking = (["name", "about", "source", "settings", "needs", "parts", "programs", "step", "figures"] as const).filter(
    (key) => method[key] === undefined,
  );
  if (lacking.length > 0) throw refused(`its \`method\` lacks ${lacking.join(", ")}. See docs/ADD-A-METHOD.md`);
  if (method.makes !== "student") throw refused(`it makes "${method.makes}", expected "student"`);
  return method as AnyMethod;
}
