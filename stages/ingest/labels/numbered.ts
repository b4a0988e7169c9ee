import type { Entry } from "../listing.ts";
import { folderOf, stemOf } from "../names.ts";

/**
 * Whether folders only divide one sequence of numbered images among them (00000/img00000999.png, 00001/img00001000.png), as
 * img2dataset, StyleGAN's dataset_tool and FFHQ do: names of digits of one width, padded with zeros, and the images' numbers go
 * on from folder to folder, or `isKnown` from files of such a tool. Classes called 0 to 9 are no such folders; nor are those of
 * GTSRB, whose images start anew in each.
 */
export function areNumbered(images: Entry[], folders: string[], { isKnown = false } = {}): boolean {
  const width = folders[0]?.length ?? 0;
  if (width < 3 || !folders.every((name) => name.length === width && /^\d+$/.test(name))) return false;
  if (isKnown) return true;
  if (!folders.some((name) => name.startsWith("0"))) return false;
  const ranges = new Map<number, { from: number; to: number }>();
  for (const { name } of images) {
    const digits = /\d+$/.exec(stemOf(name))?.[0];
    if (digits === undefined) return false;
    const number = Number(digits);
    const folder = Number(folderOf(name).split("/").at(-2));
    const range = ranges.get(folder);
    if (!range) ranges.set(folder, { from: number, to: number });
    else if (number < range.from) range.from = number;
    else if (number > range.to) range.to = number;
  }
  const inOrder = [...ranges].sort((a, b) => a[0] - b[0]).map(([, range]) => range);
  return inOrder.every(({ from }, i) => i === 0 || from > (inOrder[i - 1]?.to ?? -1));
}
