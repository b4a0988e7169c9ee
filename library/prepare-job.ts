/** From what a caller asks for to validated settings, as the command line makes them of its flags. */
import { examineFit } from "../recipes/fit.ts";
import type { Part } from "../recipes/parts.ts";
import { askedMethodLayer, type Layer, presetLayer, recordedLayers, resolveSettings, wishesOf } from "../recipes/resolve-settings.ts";
import type { Context, PipelineEvent } from "../schemas/events.ts";
import { badUsage } from "../schemas/failure.ts";
import type { Settings } from "../schemas/settings.ts";
import { withDevice } from "../stages/doctor/choose.ts";

/** Some of the settings, at any depth; a list is replaced whole. */
type Some<T> = T extends readonly unknown[] ? T : T extends object ? { [K in keyof T]?: Some<T[K]> } : T;

export type SettingsInput = Some<Settings>;

interface Asked {
  preset?: string;
  method?: string | URL;
  settings?: SettingsInput;
  signal?: AbortSignal;
  report?: (event: PipelineEvent) => void;
}

/**
 * The settings and the context of a job. Of the run or store in `folder` the recorded settings of these `groups` count, below what is
 * asked for. Throws a usage failure where a setting is unknown, or does not fit another in one of the `parts` of the work, which are
 * looked at where they are given.
 */
export async function prepareJob(
  { preset, method, settings: values, signal = new AbortController().signal, report = warn }: Asked,
  { stage, folder, groups = [], parts }: { stage: string; folder?: string; groups?: readonly (keyof Settings)[]; parts?: readonly Part[] },
): Promise<{ settings: Settings; context: Context }> {
  const layers: Layer[] = [];
  if (preset !== undefined) layers.push(presetLayer(preset));
  if (folder !== undefined) layers.push(...(await recordedLayers(folder, groups)));
  if (method !== undefined) layers.push(await askedMethodLayer(method));
  if (values !== undefined) layers.push({ source: "`settings`", values, asked: "line" });
  const settings = resolveSettings(layers);
  const { refusals, warnings } = parts ? examineFit({ settings, parts, asked: wishesOf(layers) }) : { refusals: [], warnings: [] };
  if (refusals[0] !== undefined) throw badUsage(refusals[0]);
  for (const message of warnings) report({ type: "warning", stage, message });
  const context: Context = { signal, report };
  return { settings: await withDevice(settings, context), context };
}

/** What is told where nobody listens. */
function warn(event: PipelineEvent): void {
  if (event.type === "warning") process.emitWarning(`${event.stage}: ${event.message}`, "OnestepWarning");
}
