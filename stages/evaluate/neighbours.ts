/** Samples with the real images nearest to each, as a picture to look at: is the model copying? */
import type { Picture } from "../../schemas/images.ts";
import { writeGrid } from "../picture/write-grid.ts";
import type { ReferencePicture } from "./reference.ts";

const NEAREST = 3;
const COLUMNS = 16;

/**
 * Writes a PNG sheet: rows of `samples`, and below each sample its three nearest images of the reference with their
 * distances. `nearest` holds indices into `images`, a second reading of the reference, and distances, three a sample.
 */
export async function paintNeighbours(options: {
  path: string;
  samples: readonly Picture[];
  nearest: { index: Int32Array; distance: Float64Array };
  images: AsyncIterable<Pick<ReferencePicture, "pixels">>;
}): Promise<void> {
  const { path, samples, nearest } = options;
  const wanted = new Set(nearest.index);
  const found = new Map<number, Uint8Array>();
  let at = 0;
  for await (const { pixels } of options.images) {
    if (wanted.has(at)) found.set(at, pixels.slice());
    if (found.size === wanted.size) break;
    at++;
  }
  const images: Picture[] = [];
  const captions: string[] = [];
  const rowLabels: string[] = [];
  const columns = Math.min(COLUMNS, samples.length);
  for (let from = 0; from < samples.length; from += columns) {
    const part = samples.slice(from, from + columns);
    for (let rank = -1; rank < NEAREST; rank++) {
      for (const [i, { width, height }] of part.entries()) {
        const entry = (from + i) * NEAREST + rank;
        const pixels = rank < 0 ? part[i]!.pixels : found.get(nearest.index[entry]!)!;
        images.push({ pixels, width, height });
        captions.push(rank < 0 ? "" : nearest.distance[entry]!.toPrecision(3));
      }
      for (let blank = part.length; blank < columns; blank++) {
        images.push(white(part[0]!));
        captions.push("");
      }
      rowLabels.push(rank < 0 ? "sample" : `nearest ${rank + 1}`);
    }
  }
  await writeGrid({ path, images, columns, captions, rowLabels, gap: 4, scale: Math.max(1, Math.floor(64 / samples[0]!.width)) });
}

function white({ width, height }: Picture): Picture {
  return { pixels: new Uint8Array(width * height * 3).fill(255), width, height };
}
