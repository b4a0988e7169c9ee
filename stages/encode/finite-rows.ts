/** Latents that are no numbers: rows of no store, and where there are no others the end of its making. */
import { Failure } from "../../schemas/failure.ts";
import { countNotFinite } from "../../schemas/numbers/finite.ts";

/** Why a latent, or another tensor of its row, is none of a store, in words; undefined where all its values are finite. */
export function notFinite(values: Float32Array, what = "latent"): string | undefined {
  const bad = countNotFinite(values);
  return bad === 0 ? undefined : `${bad} of the ${values.length} values of its ${what} are not finite`;
}

export interface MadeShard {
  shard: number;
  /** Latents that were made and are finite. */
  good: number;
  /** Of the first one that is not. */
  reason?: string;
}

/**
 * Looks at the shards of a store before they are written. Throws a Failure at one that has latents and no finite one, where
 * none before it had any and the store `isBegun` with none: the rest would be made for nothing.
 */
export function endsWhereNoneIsFinite(options: { folder: string; isBegun: boolean; maker: string }): (made: MadeShard) => void {
  const { folder, isBegun, maker } = options;
  let isFruitful = isBegun;
  return ({ shard, good, reason }) => {
    isFruitful ||= good > 0;
    if (isFruitful || reason === undefined) return;
    throw new Failure(
      `Cannot go on making ${folder}: no latent of shard ${shard}, the first, is finite (first reason: ${reason}). ` +
        `The weights of the ${maker} are damaged, or its training diverged: name others.`,
    );
  };
}
