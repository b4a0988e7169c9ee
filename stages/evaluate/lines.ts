import type { PipelineEvent } from "../../schemas/events.ts";
import type { Comparison } from "./compare.ts";
import type { Obedience } from "./obedience.ts";

/** What was measured of one set of images. */
export interface Measures {
  subject: string; // e.g. "student"
  comparison: Comparison;
  preparation: string; // what the reference's images went through before being compared
  evaluations?: number; // network evaluations an image (NFE)
  seconds?: number; // an image
  obedience?: Obedience;
}

/**
 * Measures as result events, one a printed line. Each repeats what the figure depends on: how many samples, which
 * reference, which features, which resize filter; a figure copied without them means nothing.
 */
export function measureLines({
  subject,
  comparison,
  preparation,
  evaluations,
  seconds,
  obedience,
}: Measures): PipelineEvent[] {
  const { frechetDistance, precision, recall, bands, count, reference, features, resizeFilter } = comparison;
  const context = {
    samples: `${count} against ${count}`,
    reference: `${reference.slice(0, 12)} (${preparation})`,
    features,
    resize: resizeFilter,
  };
  const line = (measure: string, value: number | string): PipelineEvent => ({
    type: "result",
    stage: "evaluate",
    values: { subject, measure, value, ...context },
  });
  const lines = [
    line("Fréchet distance", rounded(frechetDistance)),
    line("precision (k=3)", rounded(precision)),
    line("recall (k=3)", rounded(recall)),
    line("band energy, coarse to fine, dB", bands.map((value) => value.toFixed(2)).join(" ")),
  ];
  if (evaluations !== undefined) lines.push(line("network evaluations an image (NFE)", evaluations));
  if (seconds !== undefined) lines.push(line("seconds an image", rounded(seconds)));
  if (obedience) {
    const parts = Object.entries(obedience.perAttribute).map(([name, share]) => `${name} ${rounded(share)}`);
    lines.push(line("captions obeyed in all", rounded(obedience.all)), line("captions obeyed", parts.join(", ")));
  }
  return lines;
}

/** Four significant digits: more would be noise at any affordable sample count. */
function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
