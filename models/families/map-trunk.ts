/**
 * A U-Net as a discriminator's trunk, whole but for its last layers: heads stand around the last skip connection of a level (before,
 * at and after it); resized copies of the latent enter where the way down has come to their resolution.
 */
import { conv } from "../layers.ts";
import type { Core, Entrance, HeadPlace, Trunk, TrunkLimits } from "./family.ts";

/** A level of a U-Net. Places are of its last block on the way up, before and after it and where the skip connection has joined. */
export interface TrunkLevel {
  /** Channels of the level on the way up. */
  channels: number;
  before: string;
  joined: string;
  after: string;
  /** Where the map has been halved to this level's size, still with the channels of the one before; the finest has none. */
  down?: string;
}

/** What of a U-Net its trunk is made of. */
interface MapNetwork {
  /** Channels of the latents, and after the first convolution. */
  inputs: number;
  width: number;
  /** The place after that convolution, and its kernel. */
  enter: string;
  first: string;
  /** The finest first. */
  levels: readonly TrunkLevel[];
  /** Whether the trunk has the parameter of that name. */
  uses: (name: string) => boolean;
  core: Core;
}

/** The trunk of these scales, powers of two. */
export function mapTrunk(network: MapNetwork, { scales }: { scales: readonly number[] }): Trunk {
  const { inputs, width, enter, first, levels, uses, core } = network;
  const used = [...new Set(scales)].map(Math.log2);
  const at = (level: number): TrunkLevel => levels[level] as TrunkLevel;
  // A level's last skip is the first feature there on the way down, still with the channels of the level before.
  const skipped = (level: number): number => (level === 0 ? width : at(level - 1).channels);
  const entrance = (scale: number, place: string, outputs: number): Entrance => ({
    scale,
    place,
    init: (init, name) => init.conv(name, 3, inputs, outputs, { gain: 0 }),
    apply: (parameters, name, map) => conv(parameters, name, map),
  });
  const headsOf = (level: number): HeadPlace[] => {
    const { channels, before, joined, after } = at(level);
    const head = (name: string, place: string, seen: number): HeadPlace => ({
      name: `${name}.${2 ** level}`,
      place,
      shrink: 1,
      channels: seen,
      width,
    });
    return [head("before", before, channels), head("at", joined, channels + skipped(level)), head("after", after, channels)];
  };
  const coarse = used.filter((level) => level > 0).sort((a, b) => a - b);
  return {
    first,
    uses,
    last: at(0).after,
    noise: entrance(1, enter, width),
    copies: coarse.map((level) => entrance(2 ** level, at(level).down as string, skipped(level))),
    heads: used.flatMap(headsOf),
    map: (features) => features,
    core,
  };
}

/** What such a trunk can be: copies enter at powers of two, one a level, where they divide latents of a known shape. */
export function mapTrunkLimits(levels: number, shape?: readonly [number, number, number]): Omit<TrunkLimits, "setting"> {
  const divides = (scale: number): boolean => !shape || (shape[0] % scale === 0 && shape[1] % scale === 0);
  const possible = Array.from({ length: levels }, (_, level) => 2 ** level).filter(divides);
  const why = (scale: number): string | undefined =>
    possible.includes(scale) ? undefined : `a U-Net of ${levels} levels has the scales ${possible.join(", ")}, and none of ${scale}`;
  return { why };
}
