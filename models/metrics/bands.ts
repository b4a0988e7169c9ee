import { planPowerSpectrum } from "./fourier.ts";

/**
 * Mean energy of an image set's luminance in radial frequency bands. `add` takes RGB pixels [height, width, 3], 0..255;
 * `result` gives the mean over images of the power in each band, luminance counted from 0 to 1. Band b of n holds the
 * frequencies from b to b + 1 n-ths of half a cycle per pixel, the last also the corners beyond; the constant is left
 * out. All bands and the squared mean add up to the mean square (Parseval).
 */
export function runningBandEnergy({ height, width, bands = 6 }: { height: number; width: number; bands?: number }): {
  add: (pixels: Uint8Array) => void;
  result: () => Float64Array;
} {
  const spectrum = planPowerSpectrum(height, width);
  const bandOf = bandsOf({ height, width, bands });
  const energy = new Float64Array(bands);
  const luminance = new Float64Array(height * width);
  let count = 0;

  return {
    add(pixels) {
      if (pixels.length !== 3 * luminance.length) {
        throw new RangeError(`${pixels.length} bytes are not an RGB image of ${width}x${height}`);
      }
      for (let at = 0; at < luminance.length; at++) {
        // Rec. 601 weights, on the encoded values: what the eye and the feature networks are shown.
        luminance[at] = (0.299 * pixels[3 * at]! + 0.587 * pixels[3 * at + 1]! + 0.114 * pixels[3 * at + 2]!) / 255;
      }
      const power = spectrum(luminance);
      for (let at = 1; at < power.length; at++) energy[bandOf[at]!]! += power[at]!;
      count++;
    },
    result: () => energy.map((value) => value / count),
  };
}

/** The band of every coefficient of a spectrum [height, width], the constant in the lowest. */
function bandsOf({ height, width, bands }: { height: number; width: number; bands: number }): Int16Array {
  const bandOf = new Int16Array(height * width);
  for (let v = 0, at = 0; v < height; v++) {
    for (let u = 0; u < width; u++, at++) {
      const frequency = Math.hypot(Math.min(v, height - v) / height, Math.min(u, width - u) / width);
      bandOf[at] = Math.min(Math.floor(2 * bands * frequency), bands - 1);
    }
  }
  return bandOf;
}

/**
 * Plans the power of latents [height, width, channels] in the same bands, a sum over channels, with the constant in the
 * lowest band: all bands add up to the sum over channels of the mean square (Parseval).
 */
export function planBandPower(options: {
  height: number;
  width: number;
  channels: number;
  bands: number;
}): (latent: ArrayLike<number>) => Float64Array {
  const { height, width, channels, bands } = options;
  const spectrum = planPowerSpectrum(height, width);
  const bandOf = bandsOf(options);
  const plane = new Float64Array(height * width);
  return (latent) => {
    const power = new Float64Array(bands);
    for (let channel = 0; channel < channels; channel++) {
      for (let at = 0; at < plane.length; at++) plane[at] = latent[at * channels + channel] as number;
      for (const [at, value] of spectrum(plane).entries()) power[bandOf[at]!]! += value;
    }
    return power;
  };
}

/** Band energies against a reference in decibels, 10 log10(energy / reference); 0 is equal, negative is blurrier. */
export function bandDifference(energy: Float64Array, reference: Float64Array): Float64Array {
  const floor = 1e-30; // two empty bands are equal; not a denormal, which the compute engine may have flushed to zero
  return energy.map((value, band) => 10 * Math.log10((value + floor) / (reference[band]! + floor)));
}
