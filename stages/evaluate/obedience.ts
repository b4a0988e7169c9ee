/** How pictures obey their captions, where something can read a caption's attributes back from a picture. */
import type { Picture } from "../../schemas/images.ts";

/**
 * Says of each attribute that a picture's caption names whether the picture shows it; undefined where it cannot read such
 * captions. Pipelines pass in the one of the built-in set.
 */
export type CaptionReader = (picture: Picture & { caption: string }) => Record<string, boolean> | undefined;

/** Shares of pictures that show what their caption names: each attribute, and all of them at once. */
export interface Obedience {
  perAttribute: Record<string, number>;
  all: number;
  count: number;
}

export interface RunningObedience {
  add: (picture: Picture & { caption: string }) => void;
  /** Undefined before the first caption that could be read. */
  result: () => Obedience | undefined;
}

/** Counts, picture by picture, how captions were obeyed. */
export function runningObedience(read: CaptionReader): RunningObedience {
  const obeyed: Record<string, number> = {};
  let [all, count] = [0, 0];
  return {
    add(picture) {
      const shown = read(picture);
      if (!shown) return;
      for (const [name, isShown] of Object.entries(shown)) obeyed[name] = (obeyed[name] ?? 0) + Number(isShown);
      if (Object.values(shown).every(Boolean)) all++;
      count++;
    },
    result() {
      if (count === 0) return undefined;
      const perAttribute = Object.fromEntries(Object.entries(obeyed).map(([name, pictures]) => [name, pictures / count]));
      return { perAttribute, all: all / count, count };
    },
  };
}
