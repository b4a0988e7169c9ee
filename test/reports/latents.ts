/** What a latent store of the codec "pixel" holds, for people: rows by name, and colours out of 255. */
import { openLatentStore, readLatents } from "../../store/rows/latents.ts";

export interface StoredPicture {
  name: string;
  label: string | undefined;
  caption: string | undefined;
  /** [size, size, 3], 0 to 255. */
  values: Float32Array;
  size: number;
}

export async function picturesOf(folder: string): Promise<StoredPicture[]> {
  const store = await openLatentStore({ folder });
  const pictures: StoredPicture[] = [];
  for await (const { name, label, caption, latent } of readLatents(store)) {
    pictures.push({
      name: name ?? "",
      label: label == null ? undefined : store.manifest.classes[label],
      caption: caption ?? undefined,
      values: latent.map((value) => (value + 1) * 127.5),
      size: store.manifest.imageSize,
    });
  }
  return pictures.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The colours in the middles of the four quadrants: top left, top right, bottom left, bottom right. */
export function quadrants({ values, size }: StoredPicture): number[][] {
  const middles = [Math.floor(size / 4), Math.floor((3 * size) / 4)];
  return middles.flatMap((y) => middles.map((x) => [...values.subarray(3 * (y * size + x), 3 * (y * size + x) + 3)]));
}

/** The mean absolute difference of two pictures, of 255. */
export function difference(a: StoredPicture, b: StoredPicture): number {
  return a.values.reduce((sum, value, i) => sum + Math.abs(value - b.values[i]!), 0) / a.values.length;
}
