/** IEEE half precision (1 sign, 5 exponent, 10 fraction bits) as Uint16Array, for stored tensors. */

/** Rounds to the nearest half, ties to even; beyond 65504 becomes infinity, NaN stays NaN. Same length. */
export function toHalf(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) {
    const sign = ((bits[i] as number) >>> 16) & 0x8000;
    const magnitude = (bits[i] as number) & 0x7fffffff;
    out[i] = sign | halfMagnitude(magnitude);
  }
  return out;
}

/** Widens halves to float32, exactly: into `wide`, of the same length. */
export function fromHalf(halves: Uint16Array, wide = new Float32Array(halves.length)): Float32Array<ArrayBuffer> {
  const bits = new Int32Array(wide.buffer, wide.byteOffset, wide.length);
  const table = widenedHalves();
  for (let i = 0; i < bits.length; i++) bits[i] = table[halves[i] as number] as number;
  return wide;
}

/** Widens bfloat16 (the upper half of a float32) to float32, exactly: into `wide`, of the same length. */
export function fromBfloat16(values: Uint16Array, wide = new Float32Array(values.length)): Float32Array<ArrayBuffer> {
  const bits = new Int32Array(wide.buffer, wide.byteOffset, wide.length);
  for (let i = 0; i < bits.length; i++) bits[i] = (values[i] as number) << 16;
  return wide;
}

let halves: Int32Array | undefined;

/** The float32 bits of every half: looking them up takes a third of the time that making them does. */
function widenedHalves(): Int32Array {
  halves ??= Int32Array.from({ length: 2 ** 16 }, (_, half) => ((half & 0x8000) << 16) | widened(half & 0x7fff));
  return halves;
}

function halfMagnitude(magnitude: number): number {
  if (magnitude > 0x7f800000) return 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return 0x7c00; // 65520 and above round to infinity
  if (magnitude >= 0x38800000) return roundedShift(magnitude - 0x38000000, 13); // 2^-14 and above: normal
  const exponent = magnitude >>> 23;
  if (exponent < 102) return 0; // below 2^-25
  return roundedShift((magnitude & 0x7fffff) | 0x800000, 126 - exponent); // in units of 2^-24, the smallest subnormal
}

/** value / 2^shift, to the nearest, ties to even. */
function roundedShift(value: number, shift: number): number {
  const odd = (value >>> shift) & 1;
  return (value + (1 << (shift - 1)) - 1 + odd) >>> shift;
}

function widened(magnitude: number): number {
  if (magnitude >= 0x7c00) return (magnitude << 13) | 0x7f800000; // infinity and NaN
  if (magnitude >= 0x0400) return (magnitude << 13) + 0x38000000;
  if (magnitude === 0) return 0;
  const top = 31 - Math.clz32(magnitude); // subnormal: magnitude * 2^-24
  return ((top + 103) << 23) | ((magnitude << (23 - top)) & 0x7fffff);
}
