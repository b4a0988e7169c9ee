/** The schema of all settings: the common ones and those that each method's file declares. */
import { pathToFileURL } from "node:url";
import { type AnyMethod, methodSettings, registerMethod } from "../methods/registry.ts";
import { settingsSchemaWith } from "../schemas/settings.ts";

/** Made anew when a method is added; whoever imports it sees the newest. */
export let settingsSchema = settingsSchemaWith(methodSettings());

/**
 * Adds the method that a file exports as `method` (a path, or a URL as of `new URL("./own.ts", import.meta.url)`), and its settings
 * to the schema: from then on it is chosen by its name like the others. Throws a Failure where the file has none.
 */
export async function addMethod(file: URL | string): Promise<AnyMethod> {
  const method = await registerMethod(file instanceof URL ? file : pathToFileURL(file));
  settingsSchema = settingsSchemaWith(methodSettings());
  return method;
}
