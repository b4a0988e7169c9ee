import { badUsage } from "../../schemas/failure.ts";
import { colours, type Setting, type Time } from "./attributes.ts";
import { channels, flame, groundTones, ink, mix, skies, subjectTones, wood } from "./palette.ts";
import { SIZE } from "./templates.ts";

type Rgb = [number, number, number];

/** RGB bytes [height, width, 3] as [64, 64, 3]: the mean over the pixels that a cell covers, at least one. */
export function resample(pixels: Uint8Array, width: number, height: number): Float32Array {
  if (pixels.length !== 3 * width * height || pixels.length === 0) {
    throw badUsage(`Cannot read a picture of ${pixels.length} bytes as RGB ${width}x${height}: expected ${3 * width * height}`);
  }
  if (width === SIZE && height === SIZE) return Float32Array.from(pixels);
  const out = new Float32Array(3 * SIZE * SIZE);
  const range = (cell: number, length: number): [number, number] => {
    const first = Math.floor((cell * length) / SIZE);
    return [first, Math.max(first + 1, Math.floor(((cell + 1) * length) / SIZE))];
  };
  for (let row = 0; row < SIZE; row++) {
    const [top, bottom] = range(row, height);
    for (let column = 0; column < SIZE; column++) {
      const [left, right] = range(column, width);
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) sum += pixels[3 * (y * width + x) + c]!;
        out[3 * (row * SIZE + column) + c] = sum / ((bottom - top) * (right - left));
      }
    }
  }
  return out;
}

/** The median colour, channel by channel, of rows [first, last). */
export function median(image: Float32Array, first: number, last: number): Rgb {
  const strip = image.subarray(3 * SIZE * first, 3 * SIZE * last);
  const middle = (c: number) => {
    const values = strip.filter((_, i) => i % 3 === c).sort();
    return values[values.length >> 1]!;
  };
  return [middle(0), middle(1), middle(2)];
}

/** Squared distance of two colours. */
export function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return (a[0]! - b[0]!) ** 2 + (a[1]! - b[1]!) ** 2 + (a[2]! - b[2]!) ** 2;
}

/** The value of least cost. */
export function nearest<T>(values: readonly T[], cost: (value: T) => number): T {
  return values.reduce((best, value) => (cost(value) < cost(best) ? value : best));
}

/**
 * For every pixel of [64, 64, 3] the index in `colours` of the subject colour that it shows, or -1 where the backdrop
 * of this setting and hour, an outline or a detail is nearer.
 */
export function labelColours(image: Float32Array, setting: Setting, time: Time): Int8Array {
  const labels = new Int8Array(SIZE * SIZE);
  const rows = choicesByRow(setting, time);
  for (let at = 0; at < labels.length; at++) {
    const { rgb, label } = rows[Math.floor(at / SIZE)]!;
    const r = image[3 * at]!;
    const g = image[3 * at + 1]!;
    const b = image[3 * at + 2]!;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < label.length; i++) {
      const d = (r - rgb[3 * i]!) ** 2 + (g - rgb[3 * i + 1]!) ** 2 + (b - rgb[3 * i + 2]!) ** 2;
      if (d < least) {
        least = d;
        labels[at] = label[i]!;
      }
    }
  }
  return labels;
}

interface Choices {
  rgb: Float32Array;
  label: Int8Array;
}

/** Every colour that a row may show, with the subject colour it means, or -1. Kept: there are 20 backdrops. */
function choicesByRow(setting: Setting, time: Time): Choices[] {
  const key = `${setting}/${time}`;
  let rows = remembered.get(key);
  if (!rows) {
    const meaning = colours.flatMap((colour, c) => [subjectTones[colour].main, subjectTones[colour].deep].map((tone) => ({ tone, c })));
    rows = Array.from({ length: SIZE }, (_, y) => {
      const other = [...skyAt(time, y), ...groundAt(setting, time, y), ink, wood, flame];
      const tones = [...meaning.map(({ tone }) => tone), ...other];
      return {
        rgb: Float32Array.from(tones.flatMap(channels)),
        label: Int8Array.from(tones, (_, i) => meaning[i]?.c ?? -1),
      };
    });
    remembered.set(key, rows);
  }
  return rows;
}
const remembered = new Map<string, Choices[]>();

/** The gradient ends and its mixtures with light and cloud, down to the lowest horizon. */
function skyAt(time: Time, y: number): string[] {
  if (y > 45) return [];
  const { stops, light, cloud } = skies[time];
  const [top, middle, low] = stops;
  const down = Math.min(y / 43, 1);
  const sky = down < 0.55 ? mix(top, middle, down / 0.55) : mix(middle, low, (down - 0.55) / 0.45);
  return [sky, mix(sky, light, 0.35), light, mix(sky, cloud, 0.75)];
}

/** Land from the highest tower or hill down, in its shades and in shadow. */
function groundAt(setting: Setting, time: Time, y: number): string[] {
  if (y < 16) return [];
  const { near, far, detail } = groundTones(setting, time);
  const shadow = time === "night" ? 0.4 : 0.2;
  return [near, far, detail, mix(far, near, 0.5), mix(far, detail, 0.6), mix(near, ink, shadow), mix(far, ink, shadow)];
}
