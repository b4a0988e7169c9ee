/**
 * Which frequency bands a denoiser's noise levels and layers serve (D2O's question, docs/METHODS.md 3.8; the paper's own quantity
 * could not be read, so this is ours). All is in latents, by the share of a band's energy about the mean latent:
 *
 *     unexplained(sigma, band)       E |D(y + sigma eps; sigma) - y|^2 / E |y - mean y|^2        1: blind to the band, 0: exact
 *     effect(place, sigma, band)     E |D without the place's part - D|^2 / E |y - mean y|^2
 *     made(band)                     E |D(sigmaMax eps) - its mean|^2 / E |y - mean y|^2         what one call makes of noise
 *
 * The best denoiser of data with power S in a band and Gaussian has unexplained = sigma^2 / (S + sigma^2).
 */
import * as z from "zod";
import { planBandPower } from "../../../models/metrics/bands.ts";
import type { Ablated } from "../../../models/diffusion/ablated.ts";

/** D(x; sigma) of `rows` consecutive rows from `first` on, x [rows * h * w * c]; without one place's part where that is named. */
export type Denoise = (at: { x: Float32Array; sigma: number; first: number; without?: string }) => Promise<Float32Array>;

const byBand = z.array(z.number());
export const frequenciesSchema = z.object({
  /** Energy of the clean latents about their mean, by band. */
  energy: byBand,
  /** Noise levels, falling. */
  sigmas: z.array(z.number()),
  /** By level and band. */
  unexplained: z.array(byBand),
  places: z.array(z.object({ place: z.string(), adds: z.boolean() })),
  /** By place, level and band. */
  effects: z.array(z.array(byBand)),
  made: byBand,
});
export type Frequencies = z.infer<typeof frequenciesSchema>;

/** Measures a denoiser on rows `clean` and unit noise of the same length, in pieces of `batch` rows, which divides their number. */
export async function measureFrequencies(options: {
  denoise: Denoise;
  places: readonly Ablated[];
  clean: Float32Array;
  noise: Float32Array;
  shape: readonly [number, number, number];
  sigmas: readonly number[];
  bands: number;
  batch: number;
  /** Called after each piece. */
  onPiece?: (done: number, total: number) => void;
}): Promise<Frequencies> {
  const { denoise, places, clean, noise, shape, sigmas, bands, batch, onPiece } = options;
  const [height, width, channels] = shape;
  const size = height * width * channels;
  const rows = clean.length / size;
  const power = planBandPower({ height, width, channels, bands });
  /** Mean band power of a - b over rows. */
  const differing = (a: Float32Array, b: ArrayLike<number>): Float64Array => {
    const sum = new Float64Array(bands);
    const difference = new Float64Array(size);
    for (let row = 0; row < a.length / size; row++) {
      for (let i = 0; i < size; i++) difference[i] = a[row * size + i]! - b[b.length === size ? i : row * size + i]!;
      for (const [band, value] of power(difference).entries()) sum[band]! += (value * size) / a.length;
    }
    return sum;
  };
  const energy = differing(clean, meanOf(clean, size));
  const shareOf = (values: Float64Array): number[] => Array.from(values, (value, band) => value / energy[band]!);

  const unexplained = sigmas.map(() => new Float64Array(bands));
  const effects = places.map(() => sigmas.map(() => new Float64Array(bands)));
  const made = new Float32Array(clean.length);
  const [pieces, total] = [rows / batch, (rows / batch) * sigmas.length];
  for (const [level, sigma] of sigmas.entries()) {
    for (let piece = 0; piece < pieces; piece++) {
      const range = [piece * batch * size, (piece + 1) * batch * size] as const;
      const [y, eps] = [clean.subarray(...range), noise.subarray(...range)];
      const x = y.map((value, i) => value + sigma * eps[i]!);
      const at = { sigma, first: piece * batch };
      const whole = await denoise({ ...at, x });
      add(unexplained[level]!, differing(whole, y), pieces);
      for (const [i, { place }] of places.entries()) {
        add(effects[i]![level]!, differing(await denoise({ ...at, x, without: place }), whole), pieces);
      }
      if (level === 0) made.set(await denoise({ ...at, x: eps.map((value) => sigma * value) }), range[0]);
      onPiece?.(level * pieces + piece + 1, total);
    }
  }
  return {
    energy: [...energy],
    sigmas: [...sigmas],
    unexplained: unexplained.map(shareOf),
    places: [...places],
    effects: effects.map((levels) => levels.map(shareOf)),
    made: shareOf(differing(made, meanOf(made, size))),
  };
}

function add(sum: Float64Array, values: Float64Array, pieces: number): void {
  for (const [band, value] of values.entries()) sum[band]! += value / pieces;
}

function meanOf(rows: Float32Array, size: number): Float64Array {
  const mean = new Float64Array(size);
  for (const [i, value] of rows.entries()) mean[i % size]! += (value * size) / rows.length;
  return mean;
}

/**
 * The noise level at which half of each band is explained: where `unexplained` passes 1/2 on its way down, interpolated in
 * ln sigma; the highest level where it is below at once, undefined where it never is.
 */
export function halfLevels({
  sigmas,
  unexplained,
  energy,
}: Pick<Frequencies, "sigmas" | "unexplained" | "energy">): (number | undefined)[] {
  return energy.map((_, band) => {
    const at = unexplained.findIndex((shares) => shares[band]! <= 0.5);
    if (at < 1) return at === 0 ? sigmas[0] : undefined;
    const [above, below] = [unexplained[at - 1]![band]!, unexplained[at]![band]!];
    const part = (above - 0.5) / (above - below);
    return Math.exp(Math.log(sigmas[at - 1]!) * (1 - part) + Math.log(sigmas[at]!) * part);
  });
}
