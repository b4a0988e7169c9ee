import type { Sharp } from "sharp";
import { sharp } from "../../schemas/sharp.ts";
import { ground, n, sky } from "./backdrop.ts";
import { ink, subjectTones } from "./palette.ts";
import { hovers, type Scene } from "./scene.ts";
import { drawings } from "./subjects.ts";

/** The picture of a scene as an SVG document, 64 units wide and high. */
export function svgOf(scene: Scene): string {
  return svg(sky(scene) + ground(scene) + subjects(scene));
}

/** The picture of a scene as PNG bytes, `size` pixels wide and high. */
export async function renderScene(scene: Scene, { size = 64 }: { size?: number } = {}): Promise<Uint8Array> {
  return await raster(svgOf(scene), size).png({ compressionLevel: 9 }).toBuffer();
}

/** The picture of a scene as RGB bytes, [size, size, 3]. */
export async function scenePixels(scene: Scene, { size = 64 }: { size?: number } = {}): Promise<Uint8Array> {
  return await raster(svgOf(scene), size).raw().toBuffer();
}

/** A drawing 64 units wide and high as an SVG document. */
export function svg(drawing: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64" viewBox="0 0 64 64">${drawing}</svg>`;
}

/** An SVG document of ours drawn at `size` pixels, opaque (black where nothing is drawn). */
export function raster(document: string, size: number): Sharp {
  return sharp(Buffer.from(document), { density: (72 * size) / 64 })
    .resize(size, size)
    .removeAlpha()
    .toColourspace("srgb");
}

/** Shadows first, so that none falls on a neighbour. */
function subjects({ kind, colour, time, layout: { subjects, mirrored } }: Scene): string {
  const [foot, reach] = hovers(kind) ? [59, 0.34] : [undefined, 0.48];
  const shadows = subjects.map(
    ({ x, y, width }) =>
      `<ellipse cx="${n(x)}" cy="${n(foot ?? y)}" rx="${n(width * reach)}" ry="${n(width * 0.075)}" ` +
      `fill="${ink}" opacity="${time === "night" ? 0.4 : 0.2}"/>`,
  );
  const figures = subjects.map((place) => figure(drawings[kind](subjectTones[colour]), place, mirrored));
  return shadows.join("") + figures.join("");
}

/** One subject's drawing, outlined, with its foot at (x, y). */
export function figure(drawing: string, { x, y, width }: { x: number; y: number; width: number }, mirrored: boolean) {
  return (
    `<g transform="translate(${n(x)} ${n(y)}) scale(${n(mirrored ? -width : width)}e-2 ${n(width)}e-2)" ` +
    `stroke="${ink}" stroke-width="${n((100 * OUTLINE) / width)}" stroke-linejoin="round" stroke-linecap="round">${drawing}</g>`
  );
}

/** Width of the outline, in sixty-fourths of the picture, however large the subject. */
const OUTLINE = 1.3;
