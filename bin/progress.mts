/** What is known of each stage from its progress events: rate, time passed and left, and the words for all of it. */
import type { PipelineEvent } from "../schemas/events.ts";
import { rateOf } from "../schemas/rate.ts";
import { durationInWords, numberInWords } from "../schemas/words.ts";

type ProgressEvent = Extract<PipelineEvent, { type: "progress" }>;

export interface Stage {
  latest: ProgressEvent;
  since: number; // ms, when its first event was seen
  marks: { at: number; done: number }[]; // of late, oldest first; the rate is taken over them
  values: Record<string, number>; // the latest of each: not every event has all
}

const least = 30_000; // ms of marks; half of the time passed where that is more, so that a wait for data does not make the time left jump
const most = 120; // marks
/** The values that a status line has room for. The run page and `--json` have them all. */
const headline = ["loss", "distance", "rejected", "failed"];

/** A stage with one more event seen at time `now` in ms. Work done before the first event (a resume) earns no rate. */
export function withEvent(stage: Stage | undefined, event: ProgressEvent, now: number): Stage {
  const going = stage !== undefined && event.done >= stage.latest.done ? stage : undefined; // a stage that begins anew knows nothing
  const window = Math.max(least, going ? (now - going.since) / 2 : 0);
  const spacing = window / most;
  const marks = going?.marks.filter(({ at }, i, { length }) => at >= now - window || i === length - 1) ?? [];
  if (marks.length < 2 || now - marks[marks.length - 2]!.at >= spacing) marks.push({ at: now, done: event.done });
  else marks[marks.length - 1] = { at: now, done: event.done };
  return { latest: event, since: going?.since ?? now, marks, values: { ...going?.values, ...event.values } };
}

/** Whether all that a stage will ever have to do is done. */
export function isFinished({ latest }: Stage): boolean {
  return latest.total !== undefined && latest.done >= latest.total;
}

/** The facts of a stage's status line: count, share, the values that matter unless they are 0, and the time left or at last taken. */
export function facts(stage: Stage): string[] {
  const { done, total, unit } = stage.latest;
  const words = [total === undefined ? `${done} ${unit}` : `${done}/${total} ${unit}`];
  if (total && !isFinished(stage)) words.push(`${Math.floor((100 * done) / total)}%`);
  for (const name of headline) if ((stage.values[name] ?? 0) !== 0) words.push(`${name} ${numberInWords(stage.values[name]!)}`);
  const taken = (stage.marks.at(-1)!.at - stage.since) / 1000;
  const rate = rateOf(stage.marks);
  if (isFinished(stage) && taken > 0) words.push(`in ${durationInWords(taken)}`);
  if (!isFinished(stage) && total !== undefined && rate > 0) words.push(`${durationInWords((total - done) / rate)} left`);
  return words;
}
