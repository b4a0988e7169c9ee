/** How the values of a tensor column spread, channel by channel. */
import type { Manifest } from "../../schemas/manifest.ts";
import { createSums, type Statistics, statisticsOf } from "../../store/records/statistics.ts";
import { noiseOf } from "../../store/rows/triples.ts";

/** Of one tensor column, per channel. */
export interface Spread {
  statistics: Statistics;
  /** Values seen, NaN and infinite ones too. */
  values: number;
  histograms: Histogram[];
}

export interface Histogram {
  from: number;
  to: number;
  /** Of equal bins; what lies outside is in the first and last. */
  counts: number[];
}

const bins = 48;
const noiseSample = 2 ** 22; // derived values looked at

/** Histograms of every channel over mean +- 4.5 standard deviations; answers where each tensor stands among all. */
export function createHistograms({ mean, std }: Pick<Statistics, "mean" | "std">) {
  const channels = mean.length;
  const width = std.map((value) => (value > 0 ? value : 1));
  const [centres, scales] = [Float64Array.from(mean), Float64Array.from(width, (value) => 1 / value)];
  const counts = new Float64Array(channels * bins); // channel after channel
  return {
    histograms: mean.map((centre, c) => ({
      from: centre - 4.5 * width[c]!,
      to: centre + 4.5 * width[c]!,
      get counts() {
        return [...counts.subarray(c * bins, (c + 1) * bins)];
      },
    })),
    add: (tensor: Float32Array): { distance: number; peak: number } => {
      let [squares, peak, finite] = [0, 0, 0];
      for (let i = 0, c = 0; i < tensor.length; i++, c = c + 1 === channels ? 0 : c + 1) {
        const z = (tensor[i]! - centres[c]!) * scales[c]!;
        if (z - z !== 0) continue; // NaN and infinities are counted elsewhere
        finite++;
        squares += z * z;
        const size = z < 0 ? -z : z;
        if (size > peak) peak = size;
        const bin = z < -4.5 ? 0 : z >= 4.5 ? bins - 1 : ((z + 4.5) * (bins / 9)) | 0;
        counts[c * bins + bin]! += 1;
      }
      return { distance: Math.sqrt(squares / Math.max(1, finite)), peak };
    },
  };
}

/** The noise of triples: what is stored, or a sample of what is derived; stored noise is held against the derived. */
export function createNoise(manifest: Manifest & { kind: "triples" }, rows: number) {
  const [height, width, channels] = manifest.shape;
  const length = height * width * channels;
  const every = Math.max(1, Math.ceil((rows * length) / noiseSample)); // of the derived rows
  const unit = createHistograms({ mean: new Array(channels).fill(0), std: new Array(channels).fill(1) });
  const sums = createSums(channels);
  let [seen, values, mismatched] = [0, 0, 0];
  return {
    add: (row: { seed: bigint | number; id: number; noise?: Float32Array }) => {
      const sampled = seen++ % every === 0;
      const derived = sampled ? noiseOf(row, length) : undefined;
      const noise = row.noise ?? derived;
      if (!noise) return;
      if (row.noise && derived && Buffer.compare(bytesOf(row.noise), bytesOf(derived)) !== 0) mismatched++;
      sums.add(noise);
      values += noise.length;
      unit.add(noise);
    },
    spread: () => ({ statistics: statisticsOf([sums.result()], channels), values, histograms: unit.histograms, mismatched }),
  };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => new Uint8Array(buffer, byteOffset, byteLength);
