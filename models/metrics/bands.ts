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
  const bandOf = new Int16Array(height * width);
  for (let v = 0, at = 0; v < height; v++) {
    for (let u = 0; u < width; u++, at++) {
      const frequency = Math.hypot(Math.min(v, height - v) / height, Math.min(u, width - u) / width);
      bandOf[at] = at === 0 ? -1 : Math.min(Math.floor(2 * bands * frequency), bands - 1);
    }
  }
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

/** Band energies against a reference in decibels, 10 log10(energy / reference); 0 is equal, negative is blurrier. */
export function bandDifference(energy: Float64Array, reference: Float64Array): Float64Array {
  const floor = 1e-30; // two empty bands are equal; not a denormal, which the compute engine may have flushed to zero
  return energy.map((value, band) => 10 * Math.log10((value + floor) / (reference[band]! + floor)));
}
