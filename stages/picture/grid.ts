/** Many small pictures as one: where each goes, and the pixels of the sheet without its words. */
import { Failure } from "../../schemas/failure.ts";
import type { Picture } from "../../schemas/images.ts";

/** Sheet geometry in pixels. `x` and `y` are of each picture's upper left corner. */
export interface Layout {
  width: number;
  height: number;
  cells: { x: number; y: number }[];
  cellWidth: number;
  cellHeight: number;
}

export interface Spacing {
  columns: number;
  gap: number; // between pictures and around them
  scale: number; // whole number: every pixel becomes a square of this side
  captionHeight: number; // kept free under each picture
  labelWidth: number; // kept free left of each row
}

/** Where pictures of one size lie, row by row. Throws a Failure when there is none or when their sizes differ. */
export function layOut(pictures: readonly Picture[], { columns, gap, scale, captionHeight, labelWidth }: Spacing): Layout {
  const first = pictures[0];
  if (first === undefined) throw new Failure("Cannot draw a picture grid: there are no pictures");
  const odd = pictures.findIndex(({ width, height }) => width !== first.width || height !== first.height);
  if (odd > 0) {
    const { width, height } = pictures[odd]!;
    throw new Failure(
      `Cannot draw a picture grid: picture ${odd} is ${width}x${height} and the first is ${first.width}x${first.height}; ` +
        "make them one size",
    );
  }
  const cellWidth = first.width * scale;
  const cellHeight = first.height * scale;
  const across = Math.min(columns, pictures.length);
  const down = Math.ceil(pictures.length / columns);
  return {
    width: labelWidth + gap + across * (cellWidth + gap),
    height: gap + down * (cellHeight + captionHeight + gap),
    cells: pictures.map((_, i) => ({
      x: labelWidth + gap + (i % columns) * (cellWidth + gap),
      y: gap + Math.floor(i / columns) * (cellHeight + captionHeight + gap),
    })),
    cellWidth,
    cellHeight,
  };
}

/** The sheet's RGB bytes: white, with every picture copied to its cell, each pixel a square of side `scale`. */
export function paste(pictures: readonly Picture[], { width, height, cells }: Layout, scale: number): Uint8Array {
  const sheet = new Uint8Array(width * height * 3).fill(255);
  for (const [i, picture] of pictures.entries()) {
    const { x, y } = cells[i]!;
    for (let row = 0; row < picture.height * scale; row++) {
      const from = Math.floor(row / scale) * picture.width * 3;
      let to = ((y + row) * width + x) * 3;
      for (let pixel = from; pixel < from + picture.width * 3; pixel += 3) {
        for (let copy = 0; copy < scale; copy++) {
          sheet[to++] = picture.pixels[pixel]!;
          sheet[to++] = picture.pixels[pixel + 1]!;
          sheet[to++] = picture.pixels[pixel + 2]!;
        }
      }
    }
  }
  return sheet;
}
