/**
 * Projected GAN's fixed random projections (Sauer et al. 2021, section 3.2): a frozen network's maps are mixed across channels, and
 * then from the coarsest to the finest across scales, by kernels that are drawn once and never trained. A head that reads them
 * sees all scales below its own, and cannot settle on a few channels of one.
 */
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { createInitialiser } from "../initialise.ts";
import { coarse } from "./heads.ts";
import { conv, linear, type Parameters, upsample } from "../layers.ts";

/** none: maps as they are. channels: each through a 1x1 kernel. scales: that, and down the scales through 3x3 kernels. */
export const mixings = ["none", "channels", "scales"] as const;
export type Mixing = (typeof mixings)[number];

/** What the names of the fixed kernels begin with. */
export const MIXING = "mixing.";

const channelsLayer = (name: string, map: number): string => `${MIXING}${name}.${map}.channels`;
const scalesLayer = (name: string, map: number): string => `${MIXING}${name}.${map}.scales`;

/** The kernels that mix maps of these channels into maps of `width`; none where the mixing is none. */
export function initMixing(options: { name: string; channels: readonly number[]; mixing: Mixing; width: number; seed: number }): Weights {
  const { name, channels, mixing, width, seed } = options;
  const init = createInitialiser(seed);
  if (mixing === "none") return {};
  channels.forEach((inputs, map) => {
    init.linear(channelsLayer(name, map), inputs, width, { bias: false });
    // Two maps of one variance are added before it: half the gain in power keeps theirs.
    if (mixing === "scales" && map < channels.length - 1) {
      init.conv(scalesLayer(name, map), 3, width, width, { gain: Math.SQRT1_2, bias: false });
    }
  });
  return init.weights;
}

/** Maps [b, h, w, c], the finest first, mixed: as many, each [b, h, w, width], of no more positions than heads judge. */
export function mixed(parameters: Parameters, name: string, maps: readonly Tensor[], mixing: Mixing): Tensor[] {
  if (mixing === "none") return [...maps];
  const across = maps.map((map, i) => linear(parameters, channelsLayer(name, i), coarse(map)));
  if (mixing === "channels") return across;
  const out: Tensor[] = [];
  for (let i = across.length - 1; i >= 0; i--) {
    const [own, coarser] = [across[i] as Tensor, out[0]];
    out.unshift(coarser ? conv(parameters, scalesLayer(name, i), tf.add(own, enlarged(coarser, own.shape as Sides))) : own);
  }
  return out;
}

type Sides = [batch: number, height: number, width: number, channels: number];

/** A map at the size of a finer one: repeated where that is a whole multiple, else interpolated. */
function enlarged(map: Tensor, [, height, width]: Sides): Tensor {
  const [, h, w] = map.shape as Sides;
  if (h === height && w === width) return map;
  const factor = height / h;
  if (Number.isInteger(factor) && width / w === factor) return upsample(map, factor);
  return tf.image.resizeBilinear(map as never, [height, width], false, true);
}
