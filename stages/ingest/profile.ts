/**
 * Colour profiles of 16-bit images (ICC.1:2022, sections 8.3, 8.4, 10.6 and 10.18). sharp leaves the profile of 16-bit grey
 * out, and takes 16-bit colours by way of Display P3, which costs dark channels up to 12 of 255.
 */
import { Failure } from "../../schemas/failure.ts";

/** Turns pixels `from` to `to` (exclusive) of `channels` 16-bit values each into sRGB, in place; alpha stays. */
export type Conversion = (values: Uint16Array, pixels: { from: number; to: number; channels: number }) => void;

/**
 * How values of an image with this profile become sRGB; undefined where the profile belongs to other colours than the image's
 * and does not count. Throws a Failure where it cannot be read, or tells colours by tables of several dimensions.
 */
export function conversionOf(profile: Uint8Array, colours: "grey" | "rgb"): Conversion | undefined {
  const view = new DataView(profile.buffer, profile.byteOffset, profile.length);
  const word = (at: number): string => String.fromCharCode(...profile.subarray(at, at + 4));
  if (word(16) !== { grey: "GRAY", rgb: "RGB " }[colours]) return undefined;
  try {
    const tags = new Map<string, number>();
    for (let i = 0; i < Math.min(view.getUint32(128), 100); i++) tags.set(word(132 + 12 * i), view.getUint32(132 + 12 * i + 4));
    if (tags.has("A2B0")) throw new RangeError("it is made of tables");
    const tag = (name: string): number => {
      const at = tags.get(name);
      if (at === undefined) throw new RangeError(`no ${name}`);
      return at;
    };
    const curve = (name: string): Curve => readCurve(view, tag(name), word);
    if (colours === "grey") return greyConversion(curve("kTRC"));
    const columns = ["rXYZ", "gXYZ", "bXYZ"].map((name) => [8, 12, 16].map((at) => view.getInt32(tag(name) + at) / 65536));
    return rgbConversion(["rTRC", "gTRC", "bTRC"].map(curve), columns);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new Failure(`the colour profile of a 16-bit image cannot be read (${error.message}); convert the image to sRGB`);
  }
}

/** From stored values to linear light, both 0 to 1. */
type Curve = (value: number) => number;

function greyConversion(curve: Curve): Conversion {
  const table = Uint16Array.from({ length: 65536 }, (_, value) => Math.round(65535 * encoded(unit(curve(value / 65535)))));
  return (values, { from, to, channels }) => {
    for (let at = from * channels; at < to * channels; at += channels) values[at] = table[values[at] as number] as number;
  };
}

/** `columns` are the XYZ of red, green and blue under D50, the profile connection space. */
function rgbConversion(curves: Curve[], columns: number[][]): Conversion {
  const [red, green, blue] = curves.map((curve) => Float64Array.from({ length: 65536 }, (_, value) => unit(curve(value / 65535))));
  const matrix = FROM_D50.map((row) => columns.map((column) => row.reduce((sum, factor, i) => sum + factor * (column[i] as number), 0)));
  const light = Uint16Array.from({ length: 65536 }, (_, value) => Math.round(65535 * encoded(value / 65535)));
  return (values, { from, to, channels }) => {
    for (let at = from * channels; at < to * channels; at += channels) {
      const [r, g, b] = [red![values[at]!]!, green![values[at + 1]!]!, blue![values[at + 2]!]!];
      for (let i = 0; i < 3; i++) {
        const [x, y, z] = matrix[i] as [number, number, number];
        values[at + i] = light[Math.round(65535 * unit(x * r + y * g + z * b))] as number;
      }
    }
  };
}

/** Throws a RangeError where the profile ends too early or has another kind of curve. */
function readCurve(view: DataView, at: number, word: (at: number) => string): Curve {
  const fixed = (i: number): number => view.getInt32(at + 12 + 4 * i) / 65536;
  if (word(at) === "para") {
    const kind = view.getUint16(at + 8);
    const [g, a = 1, b = 0, c = 0, d = 0, e = 0, f = 0] = Array.from({ length: PARAMETERS[kind] ?? 0 }, (_, i) => fixed(i));
    if (g === undefined) throw new RangeError(`no parametric curve of kind ${kind}`);
    const power: Curve = (x) => Math.max(a * x + b, 0) ** g;
    if (kind === 0) return power;
    if (kind < 3) return (x) => (a * x + b >= 0 ? power(x) : 0) + c;
    return (x) => (x >= d ? power(x) + e : c * x + f);
  }
  if (word(at) !== "curv") throw new RangeError(`no curve called ${JSON.stringify(word(at))}`);
  const count = view.getUint32(at + 8);
  if (count === 0) return (x) => x;
  const entry = (i: number): number => view.getUint16(at + 12 + 2 * Math.min(i, count - 1));
  if (count === 1) return (x) => x ** (entry(0) / 256);
  return (x) => {
    const place = x * (count - 1);
    const below = Math.floor(place);
    return (entry(below) + (place - below) * (entry(below + 1) - entry(below))) / 65535;
  };
}

/** How many parameters each kind of parametric curve has. */
const PARAMETERS = [1, 3, 4, 5, 7];

function unit(value: number): number {
  return Math.min(Math.max(value, 0), 1);
}

/** sRGB's curve (IEC 61966-2-1) from linear light. */
function encoded(light: number): number {
  return light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055;
}

/** XYZ under D50 to linear sRGB: the inverse of the colorants that sRGB profiles state. */
const FROM_D50 = [
  [3.134112162, -1.617392436, -0.490633425],
  [-0.978787281, 1.916279569, 0.033454718],
  [0.071983028, -0.228985849, 1.405385133],
];
