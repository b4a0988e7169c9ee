/** What is known of each stage from its progress events: rate, time left, and the words for both. */
import type { PipelineEvent } from "../schemas/events.ts";
import { rateOf } from "../schemas/rate.ts";
import { durationInWords, numberInWords } from "../schemas/words.ts";

type ProgressEvent = Extract<PipelineEvent, { type: "progress" }>;

export interface Stage {
  latest: ProgressEvent;
  marks: { at: number; done: number }[]; // the last half minute, oldest first; the rate is taken over it
}

const window = 30_000; // ms
const spacing = 250; // ms between two marks

/** A stage with one more event seen at time `now` in ms. Work done before the first event (a resume) earns no rate. */
export function withEvent(stage: Stage | undefined, event: ProgressEvent, now: number): Stage {
  const restarted = stage !== undefined && event.done < stage.latest.done;
  const marks = stage && !restarted ? stage.marks.filter(({ at }) => at >= now - window) : [];
  if (marks.length < 2 || now - marks[marks.length - 2]!.at >= spacing) marks.push({ at: now, done: event.done });
  else marks[marks.length - 1] = { at: now, done: event.done };
  return { latest: event, marks };
}

export function isFinished({ latest }: Stage): boolean {
  return latest.total !== undefined && latest.done >= latest.total;
}

/**
 * The facts of a stage's status line: count, share, values, rate, time left.
 * A value named `samples` is those seen so far, and is shown as samples a second.
 */
export function facts(stage: Stage): string[] {
  const { done, total, unit, values = {} } = stage.latest;
  const { samples, ...shown } = values;
  const rate = rateOf(stage.marks);
  const words = [total === undefined ? `${done} ${unit}` : `${done}/${total} ${unit}`];
  if (total) words.push(`${Math.floor((100 * done) / total)}%`);
  for (const [name, value] of Object.entries(shown)) words.push(`${name} ${numberInWords(value)}`);
  if (rate > 0) words.push(samples ? `${numberInWords((rate * samples) / done)} samples/s` : `${numberInWords(rate)} ${unit}/s`);
  if (rate > 0 && total !== undefined && done < total) words.push(`${durationInWords((total - done) / rate)} left`);
  return words;
}
