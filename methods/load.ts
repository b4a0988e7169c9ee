/** Loads one method by name, without the others: what a worker needs. */
import { Failure } from "../schemas/failure.ts";
import type { Method } from "./method.ts";

/** Any method; what its settings are only its own file knows. */
export type AnyMethod = Method<never>;

/** The ending of this folder's files: those of a checkout, or built JavaScript. */
export const methodEnding = import.meta.url.endsWith(".ts") ? ".ts" : ".js";

/** The file of a method, for a worker that needs this one alone. */
const methodFile = (name: string): URL => new URL(`./${name}${methodEnding}`, import.meta.url);

/** Loads one method, without the others. Throws a Failure where there is no such file. */
export async function loadMethod(name: string): Promise<AnyMethod> {
  const { method } = (await import(methodFile(name).href)) as { method?: AnyMethod };
  if (method?.name !== name)
    throw new Failure(`Cannot use the method "${name}": methods/${name}${methodEnding} does not export it as \`method\`.`);
  return method;
}
