import { integers, normals } from "../../schemas/numbers/philox.ts";
import { bandDifference, runningBandEnergy } from "../../models/metrics/bands.ts";
import { planPowerSpectrum, planTransform } from "../../models/metrics/fourier.ts";
import { assert, suite } from "../harness.ts";

const test = suite("band energies");

/** A grey picture [height, width, 3] of one sinusoid: `u` and `v` cycles across and down, amplitude in 0..255. */
function sinusoid(height: number, width: number, u: number, v: number, amplitude = 100): Uint8Array {
  return Uint8Array.from({ length: height * width * 3 }, (_, at) => {
    const [x, y] = [Math.floor(at / 3) % width, Math.floor(at / (3 * width))];
    return Math.round(128 + amplitude * Math.cos(2 * Math.PI * ((u * x) / width + (v * y) / height) + 0.4));
  });
}

test("the transform of any length is the defining sum", () => {
  for (const length of [1, 2, 3, 7, 28, 32, 45, 64]) {
    const re = Float64Array.from(normals({ seed: length, stream: "re", length }));
    const im = Float64Array.from(normals({ seed: length, stream: "im", length }));
    const expected = { re: new Float64Array(length), im: new Float64Array(length) };
    for (let k = 0; k < length; k++) {
      for (let n = 0; n < length; n++) {
        const angle = (-2 * Math.PI * k * n) / length;
        expected.re[k]! += re[n]! * Math.cos(angle) - im[n]! * Math.sin(angle);
        expected.im[k]! += re[n]! * Math.sin(angle) + im[n]! * Math.cos(angle);
      }
    }
    planTransform(length)(re, im);
    assert.close(re, expected.re, 1e-11);
    assert.close(im, expected.im, 1e-11);
  }
});

test("power adds up to the mean square (Parseval), height and width not mixed up", () => {
  for (const [height, width] of [
    [28, 28],
    [32, 32],
    [64, 64],
    [6, 20],
  ] as const) {
    const image = Float64Array.from(normals({ seed: 1, stream: "parseval", length: height * width }));
    const power = planPowerSpectrum(height, width)(image);
    const meanSquare = image.reduce((sum, value) => sum + value * value, 0) / image.length;
    assert.close(
      power.reduce((a, b) => a + b, 0),
      meanSquare,
      1e-12,
    );
  }
});

test("a pure sinusoid has amplitude^2 / 2, all of it in its own band", () => {
  // 28 px: band b starts at 28 b / 12 cycles across the image; the diagonal (13, 13) lies beyond half a cycle a pixel.
  for (const [u, v, band] of [
    [1, 0, 0],
    [0, 2, 0],
    [3, 0, 1],
    [0, -6, 2],
    [6, 8, 4],
    [3, 13, 5],
    [13, 13, 5],
  ] as const) {
    const energy = runningBandEnergy({ height: 28, width: 28 });
    energy.add(sinusoid(28, 28, u, v));
    const result = energy.result();
    const power = (100 / 255) ** 2 / 2;
    assert.close(result[band]!, power, 5e-3 * power, `(${u}, ${v}) in band ${band}`);
    const others = result.reduce((sum, value) => sum + value, 0) - result[band]!;
    assert.ok(others < 1e-4 * power, `(${u}, ${v}) leaks ${others}`); // rounding to bytes is all that is left
  }
});

test("energies are averaged over images; bands and mean give the mean square of the luminance", () => {
  const [height, width] = [32, 32];
  const energy = runningBandEnergy({ height, width });
  let [square, squaredMean] = [0, 0];
  for (const seed of [1, 2, 3]) {
    const pixels = Uint8Array.from(integers({ seed, stream: "pixels", length: height * width * 3, below: 256 }));
    energy.add(pixels);
    const grey = Float64Array.from({ length: height * width }, (_, i) => {
      return (0.299 * pixels[3 * i]! + 0.587 * pixels[3 * i + 1]! + 0.114 * pixels[3 * i + 2]!) / 255;
    });
    square += grey.reduce((sum, value) => sum + value * value, 0) / grey.length / 3;
    squaredMean += (grey.reduce((sum, value) => sum + value, 0) / grey.length) ** 2 / 3;
  }
  assert.close(energy.result().reduce((a, b) => a + b, 0) + squaredMean, square, 1e-12);
});

test("half the amplitude is 6.02 dB less; two empty bands are equal", () => {
  const measure = (amplitude: number) => {
    const energy = runningBandEnergy({ height: 64, width: 64 });
    energy.add(sinusoid(64, 64, 20, 0, amplitude));
    return energy.result();
  };
  assert.close(bandDifference(measure(50), measure(100))[3]!, -20 * Math.log10(2), 0.02);
  assert.equal([...bandDifference(Float64Array.of(0, 1), Float64Array.of(0, 1))], [0, 0]);
});

test("an image of another size is refused", () => {
  const energy = runningBandEnergy({ height: 8, width: 8 });
  assert.throws(() => energy.add(new Uint8Array(7)), /8x8/);
});

test.run();
