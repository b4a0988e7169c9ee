/**
 * Descriptions of networks (model.json, codec.json) carry a seal: the sha256 of all else that they say. Whoever edits one
 * by hand, or puts another one beside the weights, is told so before a picture is made of it. A seal is no signature: it
 * finds accidents and edits, not somebody who computes it anew.
 */
import { fingerprint } from "./manifest.ts";

/** The version of descriptions that are written. Those of version 1 carry no seal. */
export const descriptionVersion = 2;

/**
 * The seal of a description, whatever it says already of its seal: sha256 (hex) over canonical JSON, in which the order of
 * keys and white space do not count.
 */
export function sealOf(description: object): string {
  const { seal: _, ...content } = description as { seal?: unknown };
  return fingerprint(content);
}

/** The text of a description's file: its format and version first, its seal last. */
export function sealedText(format: string, content: object): string {
  const description = { format, version: descriptionVersion, ...content };
  return `${JSON.stringify({ ...description, seal: sealOf(description) }, null, 2)}\n`;
}
