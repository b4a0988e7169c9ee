/** The schema of all settings: the common ones and those that each method's file declares. */
import { methodSettings } from "../methods/registry.ts";
import { settingsSchemaWith } from "../schemas/settings.ts";

export const settingsSchema = settingsSchemaWith(methodSettings());
