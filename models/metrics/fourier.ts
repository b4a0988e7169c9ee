/** A Fourier transform of one length, in place, not normalised: X[k] = sum over n of x[n] e^(-2 pi i k n / length). */
export type Transform = (real: Float64Array, imaginary: Float64Array) => void;

/**
 * Plans a transform of any length: halves while even (Cooley and Tukey 1965), then sums the odd rest directly,
 * so 28 = 4 x 7 and 64 are fast and a prime length still works.
 */
export function planTransform(length: number): Transform {
  const cosines = Float64Array.from({ length }, (_, i) => Math.cos((2 * Math.PI * i) / length));
  const sines = Float64Array.from({ length }, (_, i) => -Math.sin((2 * Math.PI * i) / length));
  if (length % 2 === 1) {
    return (real, imaginary) => {
      const [re, im] = [real.slice(), imaginary.slice()];
      for (let k = 0; k < length; k++) {
        let [sumReal, sumImaginary] = [0, 0];
        for (let n = 0, turn = 0; n < length; n++, turn = (turn + k) % length) {
          sumReal += re[n]! * cosines[turn]! - im[n]! * sines[turn]!;
          sumImaginary += re[n]! * sines[turn]! + im[n]! * cosines[turn]!;
        }
        real[k] = sumReal;
        imaginary[k] = sumImaginary;
      }
    };
  }
  const half = length / 2;
  const transformHalf = planTransform(half);
  const [evenReal, evenImaginary, oddReal, oddImaginary] = Array.from({ length: 4 }, () => new Float64Array(half)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  return (real, imaginary) => {
    for (let n = 0; n < half; n++) {
      evenReal[n] = real[2 * n]!;
      evenImaginary[n] = imaginary[2 * n]!;
      oddReal[n] = real[2 * n + 1]!;
      oddImaginary[n] = imaginary[2 * n + 1]!;
    }
    transformHalf(evenReal, evenImaginary);
    transformHalf(oddReal, oddImaginary);
    for (let k = 0; k < half; k++) {
      const turnedReal = oddReal[k]! * cosines[k]! - oddImaginary[k]! * sines[k]!;
      const turnedImaginary = oddReal[k]! * sines[k]! + oddImaginary[k]! * cosines[k]!;
      real[k] = evenReal[k]! + turnedReal;
      imaginary[k] = evenImaginary[k]! + turnedImaginary;
      real[k + half] = evenReal[k]! - turnedReal;
      imaginary[k + half] = evenImaginary[k]! - turnedImaginary;
    }
  };
}

/**
 * Plans the power spectrum of images [height, width]: |F[v, u]|^2 / (height width)^2, so that its sum is the image's
 * mean square (Parseval). The image is taken as periodic; no window is applied.
 */
export function planPowerSpectrum(height: number, width: number): (image: Float64Array) => Float64Array {
  const alongRow = planTransform(width);
  const alongColumn = planTransform(height);
  const columnReal = new Float64Array(height);
  const columnImaginary = new Float64Array(height);
  return (image) => {
    const real = Float64Array.from(image);
    const imaginary = new Float64Array(image.length);
    for (let at = 0; at < image.length; at += width) {
      alongRow(real.subarray(at, at + width), imaginary.subarray(at, at + width));
    }
    const power = new Float64Array(image.length);
    for (let u = 0; u < width; u++) {
      for (let v = 0; v < height; v++) {
        columnReal[v] = real[v * width + u]!;
        columnImaginary[v] = imaginary[v * width + u]!;
      }
      alongColumn(columnReal, columnImaginary);
      for (let v = 0; v < height; v++) {
        power[v * width + u] = (columnReal[v]! ** 2 + columnImaginary[v]! ** 2) / (height * width) ** 2;
      }
    }
    return power;
  };
}
