/**
 * Random numbers as a pure function of (seed, stream, index): Philox4x32-10, the counter-based generator of Salmon et
 * al. 2011, "Parallel random numbers: as easy as 1, 2, 3". Nothing is stateful, so any slice can be made alone.
 *
 * Key = seed. Counter = [block, stream], 64 bits each, low word first. One block is four 32-bit words and serves four
 * normals or two uniforms. Only + - * / and sqrt touch a result, since ECMAScript leaves the bits of Math.log, cos and
 * sin open: the same numbers come out of every engine, and of any other language with IEEE doubles.
 */

export interface Draw {
  /** 64 bits: a non-negative safe integer or any bigint, taken modulo 2^64. */
  seed: number | bigint;
  /** Separates the uses of one seed. A string stands for its 64-bit FNV-1a hash. */
  stream: number | bigint | string;
  /** Index of the first number: the draw equals this slice of the whole stream. */
  offset?: number;
  length: number;
}

/** The 64-bit halves of key and counter, and the range of indices, ready for the inner loops. */
interface Range {
  key: [number, number];
  stream: [number, number];
  offset: number;
  length: number;
}

/** One block: four 32-bit words from a 128-bit counter and a 64-bit key, low words first. */
export function philox4x32(counter: ArrayLike<number>, key: ArrayLike<number>): Uint32Array {
  const words = new Uint32Array(4);
  block(words, counter[0] ?? 0, counter[1] ?? 0, counter[2] ?? 0, counter[3] ?? 0, key[0] ?? 0, key[1] ?? 0);
  return words;
}

/** Standard normals as float32, [length]: Box-Muller over 32-bit uniforms, so |x| < 6.8. */
export function normals(draw: Draw): Float32Array {
  const { key, stream, offset, length } = range(draw);
  const out = new Float32Array(length);
  const words = new Uint32Array(4);
  const end = offset + length;
  for (let first = offset - (offset % 4); first < end; first += 4) {
    const index = first / 4;
    block(words, index >>> 0, (index / 2 ** 32) >>> 0, stream[0], stream[1], key[0], key[1]);
    for (let pair = 0; pair < 4; pair += 2) {
      const radius = Math.sqrt(-2 * logUnit(words[pair] as number));
      const angle = words[pair + 1] as number;
      const at = first + pair - offset;
      // Writes outside [0, length) are ignored by typed arrays.
      out[at] = radius * cosTurn(angle);
      out[at + 1] = radius * sinTurn(angle);
    }
  }
  return out;
}

/** Uniforms in [0, 1) with 53 random bits, [length]. */
export function uniforms(draw: Draw): Float64Array {
  const { key, stream, offset, length } = range(draw);
  const out = new Float64Array(length);
  const words = new Uint32Array(4);
  const end = offset + length;
  for (let first = offset - (offset % 2); first < end; first += 2) {
    const index = first / 2;
    block(words, index >>> 0, (index / 2 ** 32) >>> 0, stream[0], stream[1], key[0], key[1]);
    out[first - offset] = unit53(words[0] as number, words[1] as number);
    out[first - offset + 1] = unit53(words[2] as number, words[3] as number);
  }
  return out;
}

/** Integers in [0, below), [length]; `below` at most 2^32. The bias is under 2^-21. */
export function integers(draw: Draw & { below: number }): Uint32Array {
  if (!Number.isInteger(draw.below) || draw.below < 1 || draw.below > 2 ** 32) {
    throw new RangeError(`Cannot draw integers below ${draw.below}: expected a whole number from 1 to 2^32`);
  }
  return Uint32Array.from(uniforms(draw), (u) => Math.floor(u * draw.below));
}

/** A uniformly drawn permutation of 0..length-1 (Fisher-Yates, from the end). */
export function permutation(draw: Omit<Draw, "offset">): Uint32Array {
  const draws = uniforms({ ...draw, offset: 0 });
  const order = Uint32Array.from(draws, (_, i) => i);
  for (let last = order.length - 1; last > 0; last--) {
    const other = Math.floor((draws[last] as number) * (last + 1));
    const swapped = order[last] as number;
    order[last] = order[other] as number;
    order[other] = swapped;
  }
  return order;
}

/** ln((word + 1/2) / 2^32) of a 32-bit word, to 1e-15 relative. */
export function logUnit(word: number): number {
  // The argument is n / 2^33 with n = 2 word + 1, and n lies in [2^bits, 2^(bits + 1)).
  let exponent = 32 - Math.clz32(word);
  let mantissa = (2 * word + 1) / (powers[exponent] as number);
  if (mantissa > Math.SQRT2) {
    mantissa /= 2;
    exponent += 1;
  }
  // ln m = 2 artanh f with f = (m - 1) / (m + 1), |f| < 0.172.
  const f = (mantissa - 1) / (mantissa + 1);
  const s = f * f;
  const tail = 1 / 11 + s * (1 / 13 + s * (1 / 15 + s * (1 / 17 + s * (1 / 19 + s * (1 / 21)))));
  const sum = 1 + s * (1 / 3 + s * (1 / 5 + s * (1 / 7 + s * (1 / 9 + s * tail))));
  return (exponent - 33) * LN2 + 2 * f * sum;
}

/** cos(2 pi (word + 1/2) / 2^32), absolute error under 1e-15. */
export function cosTurn(word: number): number {
  return turn(word, 1);
}

/** sin(2 pi (word + 1/2) / 2^32), absolute error under 1e-15. */
export function sinTurn(word: number): number {
  return turn(word, 0);
}

/** The sine of a turn advanced by `quarters` quarter turns: an exact reduction to [-pi/4, pi/4], then Taylor. */
function turn(word: number, quarters: number): number {
  const nearest = ((word + 2 ** 29) >>> 30) & 3;
  const t = (((word - nearest * 2 ** 30) | 0) + 0.5) * STEP;
  const s = t * t;
  const quadrant = (nearest + quarters) & 3;
  const value =
    quadrant & 1
      ? 1 + s * (-1 / 2 + s * (1 / 24 + s * (-1 / 720 + s * (1 / 40320 + s * (C10 + s * (C12 + s * C14))))))
      : t * (1 + s * (-1 / 6 + s * (1 / 120 + s * (-1 / 5040 + s * (S9 + s * (S11 + s * (S13 + s * S15)))))));
  return quadrant & 2 ? -value : value;
}

const LN2 = 0.6931471805599453;
const STEP = 1.4629180792671596e-9; // pi / 2^31: one step of a 32-bit turn, in radians
const S9 = 1 / 362880;
const S11 = -1 / 39916800;
const S13 = 1 / 6227020800;
const S15 = -1 / 1307674368000;
const C10 = -1 / 3628800;
const C12 = 1 / 479001600;
const C14 = -1 / 87178291200;
const powers = Float64Array.from({ length: 34 }, (_, exponent) => 2 ** exponent);

function unit53(high: number, low: number): number {
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
}

/** Ten rounds (Salmon et al. 2011, section 3.3). Products are split in 16-bit halves: there is no 64-bit integer here. */
function block(out: Uint32Array, c0: number, c1: number, c2: number, c3: number, k0: number, k1: number): void {
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(c0, 0xd251, 0x1f53);
    const low0 = Math.imul(c0, 0xd2511f53);
    const high1 = multiplyHigh(c2, 0xcd9e, 0x8d57);
    const low1 = Math.imul(c2, 0xcd9e8d57);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** The upper 32 bits of a * (high * 2^16 + low). */
function multiplyHigh(a: number, high: number, low: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const middle = (Math.imul(aHigh, low) >>> 0) + (Math.imul(aLow, low) >>> 16);
  const carry = (Math.imul(aLow, high) >>> 0) + (middle & 0xffff);
  return (Math.imul(aHigh, high) + (middle >>> 16) + (carry >>> 16)) | 0;
}

function range({ seed, stream, offset = 0, length }: Draw): Range {
  for (const [name, value] of Object.entries({ offset, length })) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`Cannot draw random numbers with ${name} ${value}: expected a non-negative integer`);
    }
  }
  return { key: halves(seed), stream: halves(typeof stream === "string" ? fnv1a(stream) : stream), offset, length };
}

function halves(value: number | bigint): [number, number] {
  if (typeof value === "number" && (!Number.isSafeInteger(value) || value < 0)) {
    throw new RangeError(`Cannot seed with ${value}: expected a non-negative integer below 2^53, or a bigint`);
  }
  const bits = BigInt.asUintN(64, BigInt(value));
  return [Number(bits & 0xffffffffn), Number(bits >> 32n)];
}

/** 64-bit FNV-1a of the UTF-8 bytes. */
function fnv1a(text: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash;
}
