/** Words on a sheet of pictures, as SVG: outside every picture, so that no pixel of one is touched. */
import type { Layout } from "./grid.ts";
import { shortened } from "../../schemas/visible.ts";
import { type Markup, markup } from "./markup.ts";
import { svgText } from "./svg.ts";

export const lineHeight = 14;
export const captionLines = 3;
const letterWidth = 6.2; // of the 11 px font, generously

/** Pixels needed left of the rows for their longest label. */
export function labelWidthOf(labels: readonly string[]): number {
  return labels.length === 0 ? 0 : Math.ceil(labels.reduce((most, { length }) => Math.max(most, length), 0) * letterWidth) + 8;
}

/** A caption broken into lines no wider than `width` pixels; what does not fit into three lines ends in an ellipsis. */
export function wrap(caption: string, width: number): string[] {
  const letters = Math.max(4, Math.floor(width / letterWidth));
  const lines: string[] = [];
  for (const word of caption.split(/\s+/).filter(Boolean)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= letters) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  const shown = lines.slice(0, captionLines).map((line) => shortened(line, letters));
  if (lines.length > captionLines) shown[captionLines - 1] = `${shown[captionLines - 1]!.slice(0, letters - 1)}…`;
  return shown;
}

/** The overlay for a whole sheet: captions under the pictures, labels left of the rows. */
export function overlay(
  { width, height, cells, cellWidth, cellHeight }: Layout,
  { captions, rowLabels, columns }: { captions: readonly string[]; rowLabels: readonly string[]; columns: number },
): Markup {
  const words: Markup[] = [];
  for (const [i, caption] of captions.entries()) {
    const cell = cells[i];
    if (!cell) continue;
    for (const [line, text] of wrap(caption, cellWidth).entries()) {
      const baseline = cell.y + cellHeight + (line + 0.8) * lineHeight;
      words.push(svgText(cell.x + cellWidth / 2, baseline, text, { anchor: "middle" }));
    }
  }
  for (const [row, label] of rowLabels.entries()) {
    const cell = cells[row * columns];
    if (cell) words.push(svgText(cell.x - 6, cell.y + cellHeight / 2 + 4, label, { anchor: "end" }));
  }
  const style = markup`style="font-family:sans-serif;font-size:11px;fill:#333333"`;
  return markup`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ${style}>${words}</svg>`;
}
