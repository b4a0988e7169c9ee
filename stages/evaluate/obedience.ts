import { type Attributes, attributeNames, parseCaption } from "../../data/scenes/attributes.ts";
import { readAttributes } from "../../data/scenes/read.ts";

/** Shares of pictures that show what their caption names: each attribute, and all of them at once. */
export interface Obedience {
  perAttribute: Record<keyof Attributes, number>;
  all: number;
  count: number;
}

/** Counts, picture by picture, how captions of the built-in set were obeyed; `result` is undefined before the first. */
export function runningObedience(): {
  add: (picture: { pixels: Uint8Array; width: number; height: number; caption: string }) => void;
  result: () => Obedience | undefined;
} {
  const obeyed = { kind: 0, colour: 0, setting: 0, time: 0, count: 0 };
  let [all, count] = [0, 0];
  return {
    add({ pixels, width, height, caption }) {
      const asked = parseCaption(caption);
      const seen = readAttributes(pixels, { width, height });
      const kept = attributeNames.filter((name) => asked[name] === seen[name]);
      for (const name of kept) obeyed[name]++;
      if (kept.length === attributeNames.length) all++;
      count++;
    },
    result() {
      if (count === 0) return undefined;
      const perAttribute = Object.fromEntries(attributeNames.map((name) => [name, obeyed[name] / count]));
      return { perAttribute: perAttribute as Obedience["perAttribute"], all: all / count, count };
    },
  };
}

/** Whether a caption is one of the built-in set's, which alone can be read back from pictures. */
export function isSceneCaption(caption: string | null | undefined): caption is string {
  if (!caption) return false;
  try {
    parseCaption(caption);
    return true;
  } catch {
    return false;
  }
}
