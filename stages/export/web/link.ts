/** What a link to a picture says: everything that the picture is a function of, after the `#` of the page's address. */

/** Which noise: picture number `index` of `sample --seed`. */
export interface Which {
  seed: number;
  index: number;
}

/** A picture that is wished for. */
export interface Wish extends Which {
  caption: string;
  label: number;
  /** Network calls; undefined: as many as the model is asked for unless somebody wants others. */
  calls: number | undefined;
  /** On the way from this noise to another: 0 is this one, 1 the other. */
  walk: (Which & { at: number }) | undefined;
}

/** What the page's model takes: a link says nothing of what it does not. */
export interface Choices {
  readsCaptions: boolean;
  /** Of its classes; none where it knows none. */
  names: readonly string[];
  /** Numbers of calls there are; the first is what is asked for unless somebody wants another. */
  calls: readonly number[];
}

export const longestCaption = 1000;

/** The address's part after `#`. */
export function linkOf(wish: Wish, { readsCaptions, names, calls }: Choices): string {
  const { seed, index, walk } = wish;
  const words = new URLSearchParams();
  if (readsCaptions) words.set("caption", wish.caption);
  if (names.length > 0) words.set("class", names[wish.label] ?? "");
  words.set("seed", String(seed));
  if (index > 0) words.set("index", String(index));
  if (wish.calls !== undefined && wish.calls !== calls[0]) words.set("steps", String(wish.calls));
  if (walk) {
    words.set("to", walk.index > 0 ? `${walk.seed}.${walk.index}` : String(walk.seed));
    words.set("at", String(Number(walk.at.toFixed(3))));
  }
  return words.toString();
}

/** The wish that a link says; what it does not say, or says in no way that is understood, is as in `usual`. */
export function wishOf(link: string, usual: Wish, { readsCaptions, names, calls }: Choices): Wish {
  const words = new URLSearchParams(link.replace(/^#/, ""));
  const caption = words.get("caption");
  const label = names.indexOf(words.get("class") ?? "");
  const steps = Number(words.get("steps"));
  const [toSeed, toIndex] = (words.get("to") ?? "").split(".");
  const to = wholeNumber(toSeed);
  const at = Number(words.get("at") ?? "0");
  return {
    seed: wholeNumber(words.get("seed")) ?? usual.seed,
    index: wholeNumber(words.get("index")) ?? 0,
    caption: readsCaptions && caption !== null ? caption.slice(0, longestCaption) : usual.caption,
    label: label >= 0 ? label : usual.label,
    calls: calls.includes(steps) ? steps : undefined,
    walk: to === undefined || !(at >= 0 && at <= 1) ? undefined : { seed: to, index: wholeNumber(toIndex) ?? 0, at },
  };
}

/** A whole number from 0 to 10^12, as a seed or the number of a picture may be typed; undefined for anything else. */
export function wholeNumber(text: string | null | undefined): number | undefined {
  const word = text?.trim() ?? "";
  return /^\d{1,13}$/.test(word) && Number(word) <= 1e12 ? Number(word) : undefined;
}
