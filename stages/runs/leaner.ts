/** What a description's file need not say of a network, for its family reads it not. */
import { isDeepStrictEqual } from "node:util";
import { published } from "../../models/families/published.ts";
import type { DenoiserDescription } from "../../schemas/model.ts";
import { networkSettings } from "../../schemas/settings.ts";

const defaults: Readonly<Record<string, unknown>> = networkSettings.parse({});

/** Of the words and pieces that a published network's own encoders know, its settings have nothing to say. */
const OWN_TEXT = ["vocabulary", "captionTokens", "textDepth"];

/**
 * The description without the sizes that a published network has no use for: those of the other kinds, as long as they are what reading
 * fills in again. So the network that is read is the one that was written.
 */
export function leaner<D extends object>(description: D): D {
  const { spec } = description as Partial<DenoiserDescription>;
  if (spec?.network?.kind !== "published") return description;
  const unread = new Set([
    ...OWN_TEXT,
    ...published.rules.idle.flatMap(({ settings }) => settings.map((name) => name.replace("network.", ""))),
  ]);
  const isRead = ([name, value]: [string, unknown]): boolean => !unread.has(name) || !isDeepStrictEqual(value, defaults[name]);
  return { ...description, spec: { ...spec, network: Object.fromEntries(Object.entries(spec.network).filter(isRead)) } };
}
