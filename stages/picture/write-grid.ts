import { writeAtomic } from "../../store/places/atomic.ts";
import type { Picture } from "../../schemas/images.ts";
import { layOut, paste } from "./grid.ts";
import { sharp } from "../../schemas/sharp.ts";
import { captionLines, labelWidthOf, lineHeight, overlay, wrap } from "./lettering.ts";

/**
 * Writes pictures of one size as a PNG sheet, row by row, visible only when complete. Pictures keep their pixels;
 * `captions` go under the pictures, `rowLabels` left of the rows. The same input gives the same bytes.
 */
export async function writeGrid({
  path,
  images,
  columns,
  gap = 2,
  scale = 1,
  captions = [],
  rowLabels = [],
}: {
  path: string;
  images: readonly Picture[];
  columns: number;
  gap?: number; // pixels between pictures
  scale?: number; // whole number: every pixel becomes a square of this side
  captions?: readonly string[];
  rowLabels?: readonly string[];
}): Promise<void> {
  const cellWidth = (images[0]?.width ?? 0) * scale;
  const lines = captions.reduce((most, caption) => Math.max(most, wrap(caption, cellWidth).length), 0);
  const captionHeight = lines === 0 ? 0 : Math.min(lines, captionLines) * lineHeight + 4;
  const layout = layOut(images, { columns, gap, scale, captionHeight, labelWidth: labelWidthOf(rowLabels) });
  const { width, height } = layout;
  let sheet = sharp(paste(images, layout, scale), { raw: { width, height, channels: 3 } });
  if (captions.length + rowLabels.length > 0) {
    sheet = sheet.composite([{ input: Buffer.from(String(overlay(layout, { captions, rowLabels, columns }))) }]).removeAlpha();
  }
  await writeAtomic(path, await sheet.png().toBuffer());
}
