/** `settings.yaml` beside an output: the settings that made it. */
import { mkdir, open, rename } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { stringify } from "yaml";
import type { Settings } from "./settings.ts";

/** Writes `settings.yaml` into a folder, visible only when complete, and answers its path. */
export async function writeSettings(folder: string, settings: Settings): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, "settings.yaml");
  await writeSettingsFile(path, settings);
  return path;
}

/** Writes the settings that made a file beside it: `grid.png` gets `grid.settings.yaml`. */
export async function writeSettingsBeside(output: string, settings: Settings): Promise<string> {
  const path = join(dirname(output), `${basename(output).replace(/\.[^.]+$/, "")}.settings.yaml`);
  await writeSettingsFile(path, settings);
  return path;
}

/** The text of `settings.yaml`. */
export function settingsText(settings: object): string {
  return stringify(settings, { flowCollectionPadding: false });
}

async function writeSettingsFile(path: string, settings: Settings): Promise<void> {
  const temporary = `${path}.tmp`;
  const file = await open(temporary, "w");
  try {
    await file.writeFile(settingsText(settings));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}
