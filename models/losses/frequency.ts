/**
 * Images by frequency inside traced functions. The engine has no complex numbers: a discrete Fourier transform is products
 * with constant matrices of cosines and sines, for real and imaginary part. Images are taken as periodic.
 */
import { type Tensor, tf } from "../../engine/tfjs.ts";
import { luminance } from "./luminance.ts";

/** Which frequencies pass: [width, height] of 0 and 1, in the order of a transform (frequency 0 first). */
export type Mask = Float32Array;

/** Real and imaginary parts of a spectrum, each [n, width, height]: first index the frequency across, second that down. */
interface Spectrum {
  real: Tensor;
  imaginary: Tensor;
}

/** cos(2 pi i k / n) and sin, each [n, n]. */
function waves(n: number): { cos: number[]; sin: number[] } {
  const angles = Array.from({ length: n * n }, (_, at) => (2 * Math.PI * ((Math.floor(at / n) * (at % n)) % n)) / n);
  return { cos: angles.map(Math.cos), sin: angles.map(Math.sin) };
}

/** Matrices [n, n] as one: each a block of the given row of blocks, [rows n, columns n]. */
function blocks(n: number, rows: readonly (readonly [values: number[], sign: 1 | -1])[][]): Tensor {
  const columns = rows[0]?.length ?? 0;
  const data = new Float32Array(rows.length * columns * n * n);
  rows.forEach((row, i) => {
    row.forEach(([values, sign], j) => {
      for (let y = 0; y < n; y++) {
        for (let x = 0; x < n; x++) data[((i * n + y) * columns + j) * n + x] = sign * (values[y * n + x] as number);
      }
    });
  });
  return tf.tensor2d(data, [rows.length * n, columns * n]);
}

/** F[u, v] = sum over x and y of p[y, x] e^(-2 pi i (u x / w + v y / h)) of planes p [n, h, w]. */
function transform(planes: Tensor): Spectrum {
  const [n, h, w] = planes.shape as [number, number, number];
  const [across, down] = [waves(w), waves(h)];
  const first = blocks(w, [
    [
      [across.cos, 1],
      [across.sin, -1],
    ],
  ]);
  const rows = tf.reshape(tf.matMul(tf.reshape(planes, [n * h, w]), first), [n, h, 2, w]);
  const turned = tf.reshape(tf.transpose(rows, [0, 3, 2, 1]), [n * w, 2 * h]); // real part of a row of columns, then imaginary
  const second = blocks(h, [
    [
      [down.cos, 1],
      [down.sin, -1],
    ],
    [
      [down.sin, 1],
      [down.cos, 1],
    ],
  ]);
  const [real, imaginary] = tf.split(tf.reshape(tf.matMul(turned, second), [n, w, 2 * h]), 2, 2) as [Tensor, Tensor];
  return { real, imaginary };
}

/** Planes [n, h, w] of a spectrum whose planes are real: the inverse of `transform`. */
function inverse({ real, imaginary }: Spectrum): Tensor {
  const [n, w, h] = real.shape as [number, number, number];
  const [across, down] = [waves(w), waves(h)];
  const both = tf.reshape(tf.concat([real, imaginary], 2), [n * w, 2 * h]);
  const first = blocks(h, [
    [
      [down.cos, 1],
      [down.sin, 1],
    ],
    [
      [down.sin, -1],
      [down.cos, 1],
    ],
  ]);
  const columns = tf.reshape(tf.matMul(both, first), [n, w, 2, h]);
  const turned = tf.reshape(tf.transpose(columns, [0, 3, 2, 1]), [n * h, 2 * w]);
  const second = blocks(w, [[[across.cos, 1]], [[across.sin, -1]]]);
  return tf.mul(tf.reshape(tf.matMul(turned, second), [n, h, w]), 1 / (h * w));
}

/** Each channel of images [b, h, w, c] as a plane, [b c, h, w]. */
function planesOf(images: Tensor): Tensor {
  const [b, h, w, c] = images.shape as [number, number, number, number];
  return tf.reshape(tf.transpose(images, [0, 3, 1, 2]), [b * c, h, w]);
}

/** Frequency k of n samples in cycles over the whole length, from -n/2 to n/2. */
const signed = (k: number, n: number): number => (2 * k > n ? k - n : k);

/** A mask by a condition on the frequencies across and down, in cycles over the image's width and height. */
function maskOf({ height, width }: { height: number; width: number }, passes: (u: number, v: number) => boolean): Mask {
  return Float32Array.from({ length: width * height }, (_, at) =>
    passes(signed(Math.floor(at / height), width), signed(at % height, height)) ? 1 : 0,
  );
}

/**
 * The mask of a high-pass filter: of the centred spectrum a disc or a box of radius `cutoff` times the shorter side is
 * stopped, its rim with it. 0 stops the mean alone; 0.5 all up to half a cycle per pixel but, of a disc, the corners.
 */
export function highPassMask(options: { height: number; width: number; cutoff: number; shape: "disc" | "box" }): Mask {
  const { height, width, cutoff, shape } = options;
  const radius = cutoff * Math.min(height, width) + 1e-6; // rounding does not move the rim
  return maskOf(options, (u, v) => (shape === "disc" ? Math.hypot(u, v) : Math.max(Math.abs(u), Math.abs(v))) > radius);
}

/** Masks of `bands` rings of equal width from `cutoff` of the shorter side to half a cycle a pixel, the last with the corners beyond. */
export function ringMasks(options: { height: number; width: number; cutoff: number; bands?: number }): Mask[] {
  const { height, width, cutoff, bands = 4 } = options;
  const [side, step] = [Math.min(height, width), (0.5 - cutoff) / bands];
  return Array.from({ length: bands }, (_, band) => {
    const [from, to] = [side * (cutoff + band * step) + 1e-6, band === bands - 1 ? Infinity : side * (cutoff + (band + 1) * step) + 1e-6];
    return maskOf(options, (u, v) => Math.hypot(u, v) > from && Math.hypot(u, v) <= to);
  });
}

/** The mask of the finest of `bands` radial bands, as models/metrics/bands.ts draws them. */
export function finestBandMask({ height, width, bands = 6 }: { height: number; width: number; bands?: number }): Mask {
  return maskOf({ height, width }, (u, v) => 2 * bands * Math.hypot(u / width, v / height) >= bands - 1);
}

/** What of images [b, h, w, c] passes a mask: the inverse transform of their masked spectrum, [b, h, w, c]. */
export function filtered(images: Tensor, mask: Mask): Tensor {
  const [b, h, w, c] = images.shape as [number, number, number, number];
  const { real, imaginary } = transform(planesOf(images));
  const passes = tf.tensor3d(mask, [1, w, h]);
  const planes = inverse({ real: tf.mul(real, passes), imaginary: tf.mul(imaginary, passes) });
  return tf.transpose(tf.reshape(planes, [b, c, h, w]), [0, 2, 3, 1]);
}

/**
 * Energies [b, masks] of the luminance of images [b, h, w, 3] at the frequencies that pass each mask: the mean square of what
 * passes (Parseval).
 */
export function energies(images: Tensor, masks: readonly Mask[]): Tensor {
  const [b, h, w] = images.shape as [number, number, number];
  const { real, imaginary } = transform(tf.reshape(luminance(images), [b, h, w]));
  const power = tf.reshape(tf.add(tf.square(real), tf.square(imaginary)), [b, w * h]);
  const chosen = tf.stack(masks.map((mask) => tf.tensor1d(mask)));
  return tf.mul(tf.matMul(power, chosen as Tensor, false, true), 1 / (h * w) ** 2);
}

/** Energies below this count as none: of images in [-1, 1], waves of a seventh of a step of 8-bit pixels. */
const INVISIBLE = 1e-6;

/** Mean over masks and images of |ln(energy of a / energy of b)|, a scalar, of images [b, h, w, 3]: how much there is, wherever it is. */
export function energyDifference(a: Tensor, b: Tensor, masks: readonly Mask[]): Tensor {
  const [ofA, ofB] = [a, b].map((images) => tf.log(tf.add(energies(images, masks), INVISIBLE))) as [Tensor, Tensor];
  return tf.mean(tf.abs(tf.sub(ofA, ofB)));
}

/** 10 log10 of the energy of images a over that of b at the frequencies that pass, over all images: a scalar, in dB. */
export function decibels(a: Tensor, b: Tensor, mask: Mask): Tensor {
  const [ofA, ofB] = [a, b].map((images) => tf.log(tf.add(tf.mean(energies(images, [mask])), 1e-12))) as [Tensor, Tensor];
  return tf.mul(tf.sub(ofA, ofB), 10 / Math.LN10);
}
