/** Draws that cover an interval evenly. */
import { type Draw, uniforms } from "./philox.ts";

/**
 * Uniforms in [0, 1) of which each run of `strata` has one in each of as many equal parts, in rising order: number i lies in
 * [i mod strata, i mod strata + 1) / strata. Means over them scatter less than over free ones.
 */
export function stratified({ strata, ...draw }: Draw & { strata: number }): Float64Array {
  const { offset = 0 } = draw;
  const highest = 1 - 2 ** -40; // so that no sum is rounded up into the next part
  return uniforms(draw).map((u, i) => (((offset + i) % strata) + u * highest) / strata);
}
