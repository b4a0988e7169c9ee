/**
 * A transformer over patches as a discriminator's trunk: its first blocks, each with heads; resized copies of the latent enter as
 * patches, one before each block from the second on.
 */
import { tf } from "../../engine/tfjs.ts";
import { linear, patchify, upsample } from "../layers.ts";
import type { Entrance, Trunk, TrunkLimits } from "./family.ts";

/** What of a transformer its trunk is cut from. Features at its places are tokens [b, n, width], row after row. */
interface TokenNetwork {
  /** Of the latents, [height, width, channels]. */
  shape: readonly [number, number, number];
  patch: number;
  width: number;
  /** The kernel of its first layer. */
  first: string;
  /** Where patches have their positions. */
  patches: string;
  /** Places after its blocks, in their order, by which the blocks' parameters are called too. */
  blocks: readonly string[];
  /** Parameters of what comes after the blocks. */
  late: RegExp;
  /** Parameters of a block that only later blocks read the results of. */
  onward?: RegExp;
}

/** The first `depth` blocks as a trunk of these scales. */
export function tokenTrunk(network: TokenNetwork, { depth, scales }: { depth: number; scales: readonly number[] }): Trunk {
  const { shape, patch, width, first, patches, blocks, late, onward } = network;
  const [rows, columns] = [shape[0] / patch, shape[1] / patch];
  const [own, others] = [blocks.slice(0, depth), blocks.slice(depth)];
  const last = own.at(-1) as string;
  const isOf = (name: string, block: string): boolean => name.startsWith(`${block}.`);
  const entrance = (scale: number, place: string): Entrance => ({
    scale,
    place,
    init: (init, name) => init.linear(name, patch * patch * shape[2], width, { gain: 0 }),
    apply: (parameters, name, map) => {
      const tokens = linear(parameters, name, patchify(map, patch));
      if (scale === 1) return tokens;
      const grid = tf.reshape(tokens, [-1, rows / scale, columns / scale, width]);
      return tf.reshape(upsample(grid, scale), [tokens.shape[0] as number, -1, width]);
    },
  });
  const coarse = [...new Set(scales)].filter((scale) => scale > 1).sort((a, b) => a - b);
  return {
    first,
    uses: (name) => !late.test(name) && !others.some((block) => isOf(name, block)) && !(isOf(name, last) && onward?.test(name)),
    last,
    noise: entrance(1, patches),
    // What is left over when the blocks run out enters before the last one.
    copies: coarse.map((scale, k) => entrance(scale, own[Math.min(k + 1, own.length - 1) - 1] ?? patches)),
    heads: own.flatMap((place, i) => scales.map((scale) => ({ name: `${i}.${scale}`, place, shrink: scale, channels: width, width }))),
    map: (tokens) => tf.reshape(tokens, [-1, rows, columns, width]),
  };
}

/** What such a trunk can be: copies are shrunk on the grid of tokens. `shape` is undefined where it is not known yet. */
export function tokenTrunkLimits(of: {
  shape?: readonly [number, number, number] | undefined;
  patch: number;
  depth: number;
}): Omit<TrunkLimits, "setting"> {
  const { shape, patch, depth } = of;
  const sides = shape ? [shape[0] / patch, shape[1] / patch] : [];
  const why = (scale: number): string | undefined =>
    sides.every((side) => side % scale === 0)
      ? undefined
      : `${scale} does not divide the grid of ${sides.join("x")} tokens that patches of ${patch} make; every scale must`;
  return { why, depth };
}
