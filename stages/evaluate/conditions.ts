/** The reference's conditions, under which every model is measured. */
import { conditionName, type Gathered } from "./gather.ts";

/** Of image i of every model; labels are places in the reference's classes. */
export interface ReferenceConditions {
  labels: number[]; // -1: none
  captions: (string | null)[];
}

/** Notes the conditions of real images as they pass. */
export async function* noting(
  pictures: AsyncIterable<Gathered & { label?: number }>,
  { labels, captions }: ReferenceConditions,
): AsyncGenerator<Gathered> {
  for await (const { pixels, label = -1, caption = null } of pictures) {
    labels.push(label);
    captions.push(caption);
    yield { pixels, caption, condition: conditionName({ label, caption }) };
  }
}

/** Images generated under these conditions. */
export async function* under(images: AsyncIterable<Gathered>, { labels, captions }: ReferenceConditions): AsyncGenerator<Gathered> {
  let i = 0;
  for await (const { pixels } of images) {
    const [label, caption] = [labels[i]!, captions[i++]!];
    yield { pixels, caption, condition: conditionName({ label, caption }) };
  }
}

/** `count` conditions from the given ones; see {@link evenlyChosen}. */
export function repeated({ labels, captions }: ReferenceConditions, count: number): ReferenceConditions {
  const turns = evenlyChosen(count, labels.length);
  return { labels: turns.map((i) => labels[i]!), captions: turns.map((i) => captions[i]!) };
}

/**
 * `count` indices below `length`: all of them in turn, as often as they fit, and the rest spread evenly over the whole,
 * because stores made of class folders hold one class after the other.
 */
export function evenlyChosen(count: number, length: number): number[] {
  const whole = count - (count % length);
  return Array.from({ length: count }, (_, i) => (i < whole ? i % length : Math.floor(((i - whole) * length) / (count - whole))));
}
