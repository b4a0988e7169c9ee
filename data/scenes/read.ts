import type { Picture } from "../../schemas/images.ts";
import { type Attributes, type Colour, colours, parseCaption, settings, times } from "./attributes.ts";
import { distance, labelColours, median, nearest, resample } from "./pixels.ts";
import { channels, groundTones, mix, skies } from "./palette.ts";
import { MARGIN, SIZE, STRIDE, type Template, templates } from "./templates.ts";

/**
 * Reads the attributes back from a picture, RGB bytes [height, width, 3]: the hour from the upper edge, the setting
 * from the lower edge, then every pixel's nearest colour among those that the hour and the setting allow, and last the
 * kind, count and colour whose silhouettes fit best. No network is involved, and always some answer is given.
 */
export function readAttributes(pixels: Uint8Array, { width, height }: { width: number; height: number }): Attributes {
  const image = resample(pixels, width, height);
  const top = median(image, 0, 6);
  const bottom = median(image, 61, 64);
  const time = nearest(times, (time) => distance(top, channels(mix(skies[time].stops[0], skies[time].stops[1], 0.13))));
  const setting = nearest(settings, (setting) => distance(bottom, channels(groundTones(setting, time).near)));

  const labels = labelColours(image, setting, time);
  const masks = colours.map((colour, c) => ({ colour, ...maskOf(labels, c) })).sort((a, b) => b.count - a.count);
  let best: { score: number; colour: Colour; template: Template } | undefined;
  for (const mask of masks) {
    if (mask.count === 0 || mask.count < 0.3 * masks[0]!.count) break;
    for (const template of templates) {
      const score = fit(mask, template, best?.score ?? 0);
      if (!best || score > best.score) best = { score, colour: mask.colour, template };
    }
  }
  const { colour, template } = best ?? { colour: colours[0], template: templates[0]! };
  return { kind: template.kind, colour, setting, time, count: template.count };
}

/**
 * Which attributes of its caption a picture shows, RGB bytes [height, width, 3]; undefined where the caption is none of the
 * built-in set's. Throws a Failure when the bytes are not of that size.
 */
export function obeyed(picture: Picture & { caption: string }): Record<keyof Attributes, boolean> | undefined {
  const { pixels, width, height, caption } = picture;
  if (!isSceneCaption(caption)) return undefined;
  const [asked, seen] = [parseCaption(caption), readAttributes(pixels, { width, height })];
  const { kind, colour, setting, time, count } = asked;
  return {
    kind: seen.kind === kind,
    colour: seen.colour === colour,
    setting: seen.setting === setting,
    time: seen.time === time,
    count: seen.count === count,
  };
}

/** Whether a caption is one of the built-in set's, which alone can be read back from pictures. */
export function isSceneCaption(caption: string): boolean {
  try {
    parseCaption(caption);
    return true;
  } catch {
    return false;
  }
}

/** How far, across and up, a subject may stand from where the generator of scenes would put it; even numbers. */
const REACH = { alone: 10, together: 2, up: 2 };

/**
 * Cosine between the mask and the template's subjects, each at its best place within reach; 0 where their sizes alone
 * keep it from exceeding `least`.
 */
function fit({ mask, count }: Mask, { offsets, shares, energy, slots }: Template, least: number): number {
  const norm = Math.sqrt(count * energy * slots.length);
  if (Math.min(count, offsets.length * slots.length) <= least * norm) return 0;
  const overlapAt = (x: number, y: number, every: number) => {
    const foot = (y + MARGIN) * STRIDE + x + MARGIN;
    let sum = 0;
    for (let i = 0; i < offsets.length; i += every) sum += mask[foot + offsets[i]!]! * shares[i]!;
    return sum;
  };
  /** The best of the places `step` apart, by every `step`th pixel. */
  const search = (x: number, y: number, across: number, up: number, step: number) => {
    let best = { overlap: -1, x, y };
    for (let dy = -up; dy <= up; dy += step) {
      for (let dx = -across; dx <= across; dx += step) {
        const overlap = overlapAt(x + dx, y + dy, step);
        if (overlap > best.overlap) best = { overlap, x: x + dx, y: y + dy };
      }
    }
    return best;
  };
  const across = slots.length === 1 ? REACH.alone : REACH.together;
  let overlap = 0;
  for (const slot of slots) {
    const near = search(slot.x, slot.y, across, REACH.up, 2);
    overlap += search(near.x, near.y, 1, 1, 1).overlap;
  }
  return overlap / norm;
}

interface Mask {
  /** 1 where a pixel shows the colour, [STRIDE, STRIDE] with the picture in the middle. */
  mask: Uint8Array;
  count: number;
}

function maskOf(labels: Int8Array, label: number): Mask {
  const mask = new Uint8Array(STRIDE * STRIDE);
  let count = 0;
  for (let at = 0; at < labels.length; at++) {
    if (labels[at] !== label) continue;
    mask[(Math.floor(at / SIZE) + MARGIN) * STRIDE + (at % SIZE) + MARGIN] = 1;
    count++;
  }
  return { mask, count };
}
