/** Elements that are not finite. */

/** Bits of a float32 without its sign, and one more than the rest of them than the largest finite one's. */
export const MAGNITUDE = 0x7fffffff;
export const TO_SIGN = 0x00800000;

/**
 * The index of the first element that is infinite or no number; -1 where all are finite. It looks at the bits: an exponent of ones
 * carries into the sign when one is added to it.
 */
export function firstNotFinite(values: Float32Array): number {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  let seen = 0;
  for (let i = 0; i < bits.length; i++) seen |= ((bits[i] as number) & MAGNITUDE) + TO_SIGN;
  return seen < 0 ? values.findIndex((value) => !Number.isFinite(value)) : -1;
}
