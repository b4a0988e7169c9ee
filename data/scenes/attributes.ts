import { Failure } from "../../schemas/failure.ts";

export const kinds = ["boat", "house", "tree", "balloon", "cat", "mushroom", "rocket", "bird"] as const;
export const colours = ["red", "yellow", "green", "blue", "purple", "white"] as const;
export const settings = ["sea", "meadow", "desert", "snow", "city"] as const;
export const times = ["dawn", "day", "sunset", "night"] as const;
export const counts = [1, 2, 3] as const;

export type Kind = (typeof kinds)[number];
export type Colour = (typeof colours)[number];
export type Setting = (typeof settings)[number];
export type Time = (typeof times)[number];
export type Count = (typeof counts)[number];

/** What a caption says of a picture, and all it says. */
export interface Attributes {
  kind: Kind;
  colour: Colour;
  setting: Setting;
  time: Time;
  count: Count;
}

/** Every attribute with its values. */
export const attributeValues = { kind: kinds, colour: colours, setting: settings, time: times, count: counts } as const;
export const attributeNames = Object.keys(attributeValues) as (keyof Attributes)[];

/** 2,880: the number of distinct pictures as far as words can tell. */
export const combinationCount = Object.values(attributeValues).reduce((product, { length }) => product * length, 1);

const countWords = { 1: "a", 2: "two", 3: "three" } as const;
const places = {
  sea: "on the sea",
  meadow: "in the meadow",
  desert: "in the desert",
  snow: "in the snow",
  city: "in the city",
};
const moments = { dawn: "at dawn", day: "by day", sunset: "at sunset", night: "at night" };

/** The three word orders, e.g. "two red boats on the sea at sunset". */
const orders: ((words: { subject: string; place: string; setting: string; moment: string }) => string)[] = [
  ({ subject, place, moment }) => `${subject} ${place} ${moment}`,
  ({ subject, place, moment }) => `${moment}, ${subject} ${place}`,
  ({ subject, setting, moment }) => `the ${setting} ${moment} with ${subject}`,
];
export const orderCount = orders.length;

/** The attributes in words; `order` in [0, orderCount) picks the word order. */
export function phrase({ kind, colour, setting, time, count }: Attributes, order: number): string {
  const subject = `${countWords[count]} ${colour} ${kind}${count === 1 ? "" : "s"}`;
  const say = orders[order];
  if (!say) throw new RangeError(`Cannot word a caption in order ${order}: there are ${orderCount}`);
  return say({ subject, place: places[setting], setting, moment: moments[time] });
}

/**
 * The attributes a caption names, whatever the order of its words: the inverse of `phrase`.
 * Throws a Failure naming the attribute when a caption leaves one out.
 */
export function parseCaption(caption: string): Attributes {
  const words = new Set(caption.toLowerCase().match(/[a-z]+/g));
  const find = <T>(name: string, values: readonly T[], forms: (value: T) => string[]): T => {
    const found = values.find((value) => forms(value).some((form) => words.has(form)));
    if (found !== undefined) return found;
    throw new Failure(
      `Cannot read the ${name} in the caption "${caption}": expected one of ` +
        `${values.join(", ")}, as in "two red boats on the sea at sunset"`,
    );
  };
  return {
    kind: find("kind", kinds, (kind) => [kind, `${kind}s`]),
    colour: find("colour", colours, (colour) => [colour]),
    setting: find("setting", settings, (setting) => [setting]),
    time: find("time", times, (time) => [time]),
    count: find("count", counts, (count) => [countWords[count]]),
  };
}
