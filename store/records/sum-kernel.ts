/**
 * The sums of a shard's latents as WebAssembly, four channels at a time: they are a third of the work of a shard's first reading. Each
 * channel's numbers are added one after the other, as in JavaScript, so that no bit of a sum is another.
 */
import {
  type Code,
  f64x2,
  i32,
  i32x4,
  type Local,
  local,
  loop,
  programOf,
  raise,
  type Routine,
  v128,
} from "../../schemas/numbers/assembly.ts";

/**
 * add(from, count, stride, totals, across): `count` times four float32, `stride` bytes apart, to the totals in float64: four sums, then
 * `across` bytes behind them sums of squares, minima and maxima.
 */
function adding(): Routine {
  const [from, count, stride, totals, across, at] = [local(0), local(1), local(2), local(3), local(4), local(5)];
  const [four, two] = [local(6), local(7)];
  /** A total is two vectors: of channels 0 and 1, and of 2 and 3. */
  const total = (i: number): [Local, Local] => [local(8 + 2 * i), local(9 + 2 * i)];
  const all = [0, 1, 2, 3].map(total);
  const [sum, squares, min, max] = all as [[Local, Local], [Local, Local], [Local, Local], [Local, Local]];
  const second: Code = [...i32.const(16), ...i32.add];
  const fetched = all.flatMap(([a, b]) => [
    ...[...at.get, ...v128.load, ...a.set, ...at.get, ...second, ...v128.load, ...b.set, ...raise(at, across.get)],
  ]);
  const put = all.flatMap(([a, b]) => [
    ...[...at.get, ...a.get, ...v128.store, ...at.get, ...second, ...b.get, ...v128.store, ...raise(at, across.get)],
  ]);
  const added = (i: 0 | 1): Code => [
    ...[...sum[i].get, ...two.get, ...f64x2.add, ...sum[i].set],
    ...[...squares[i].get, ...two.get, ...two.get, ...f64x2.mul, ...f64x2.add, ...squares[i].set],
    ...[...min[i].get, ...two.get, ...f64x2.pmin, ...min[i].set], // the second where it is less than the first, which stays if not
    ...[...max[i].get, ...two.get, ...f64x2.pmax, ...max[i].set],
  ];
  const body = [
    ...[...totals.get, ...at.set, ...fetched],
    ...loop(
      [...from.get, ...v128.load, ...four.set],
      [...four.get, ...f64x2.promote_low_f32x4, ...two.set, ...added(0)],
      [...four.get, ...four.get, ...i32x4.shuffle(2, 3, 2, 3), ...f64x2.promote_low_f32x4, ...two.set, ...added(1)],
      [...raise(from, stride.get), ...raise(count, i32.const(-1)), ...count.get],
    ),
    ...[...totals.get, ...at.set, ...put, ...i32.const(0)],
  ];
  return { parameters: 5, others: ["i32", ...new Array<"v128">(10).fill("v128")], body };
}

const start = programOf(() => ({ add: adding() }));

/** Float32 that are added at once, of all channels together, and where in the memory the totals stand. */
const AT_ONCE = 2 ** 14;
const TOTALS = 4 * AT_ONCE;
/** Channels that the totals have room for. */
const MOST = 2 ** 10;

let program: ReturnType<typeof start> | undefined;

/**
 * What totals become when a latent is added: sums of all channels, sums of their squares, minima and maxima. What is answered stands
 * only until the next call. A sum of squares that is not finite tells that a value was not.
 */
export function addedTotals(totals: Float64Array, latent: Float32Array): Float64Array {
  const channels = totals.length / 4;
  if (channels % 4 !== 0 || channels > MOST || latent.length % channels !== 0) return addedPlainly(totals, latent);
  program ??= start(TOTALS + 32 * MOST);
  const { memory, functions } = program;
  const [values, result] = [new Float32Array(memory, 0, AT_ONCE), new Float64Array(memory, TOTALS, totals.length)];
  result.set(totals);
  const atOnce = AT_ONCE - (AT_ONCE % channels);
  for (let at = 0; at < latent.length; at += atOnce) {
    const part = latent.subarray(at, at + atOnce);
    values.set(part);
    for (let c = 0; c < channels; c += 4) functions.add?.(4 * c, part.length / channels, 4 * channels, TOTALS + 8 * c, 8 * channels);
  }
  return result;
}

/** The same of any number of channels. */
function addedPlainly(totals: Float64Array, latent: Float32Array): Float64Array {
  const channels = totals.length / 4;
  const added = totals.slice();
  for (let c = 0; c < channels; c++) {
    // a channel at a time: its sums stay in registers
    let [sum, squares, low, high] = [totals[c]!, totals[channels + c]!, totals[2 * channels + c]!, totals[3 * channels + c]!];
    for (let i = c; i < latent.length; i += channels) {
      const value = latent[i]!;
      sum += value;
      squares += value * value;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    [added[c], added[channels + c], added[2 * channels + c], added[3 * channels + c]] = [sum, squares, low, high];
  }
  return added;
}
