/** `settings.yaml` beside an output: the settings that made it. */
import { basename, dirname, join } from "node:path";
import { stringify } from "yaml";
import type { Context } from "../../schemas/events.ts";
import type { Settings } from "../../schemas/settings.ts";
import { filesAt } from "../../store/places/files.ts";
import { within } from "../../store/places/place.ts";
import { renamed } from "./renamed.ts";

/** What a context says of names in records that last. */
type Naming = Pick<Context, "lasting">;

/** Writes `settings.yaml` into a folder, visible only when complete, and answers its path. */
export async function writeSettings(folder: string, settings: Settings, context: Naming): Promise<string> {
  const path = within(folder, "settings.yaml");
  await filesAt(path).replace(path, settingsText(settings, context));
  return path;
}

/** Writes the settings that made a file beside it: `grid.png` gets `grid.settings.yaml`. */
export async function writeSettingsBeside(output: string, settings: Settings, context: Naming): Promise<string> {
  const path = join(dirname(output), `${basename(output).replace(/\.[^.]+$/, "")}.settings.yaml`);
  await filesAt(path).replace(path, settingsText(settings, context));
  return path;
}

/** The text of `settings.yaml`. */
export function settingsText(settings: object, { lasting }: Naming): string {
  return stringify(lasting ? renamed(settings, lasting) : settings, { flowCollectionPadding: false });
}
