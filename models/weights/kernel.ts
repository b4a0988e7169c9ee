/**
 * The loops that loading weights spends its time in, four elements at a time: they become float32, are looked at for what is not finite
 * and are turned into another layout in one pass. As JavaScript, which looks every half up in a table, they take several times as long.
 */
import {
  type Code,
  f32x4,
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
import { MAGNITUDE, TO_SIGN } from "./finite.ts";

interface Kind {
  bytes: number;
  /** From the address of four elements to the bits of four float32; `half` may be overwritten. */
  load: (half: Local) => Code;
}

/** Types of elements that the loops take. */
const kinds = {
  F32: { bytes: 4, load: () => v128.load },
  BF16: { bytes: 2, load: () => [...v128.load16x4_u, ...shifted(16)] },
  F16: { bytes: 2, load: (half: Local) => [...v128.load16x4_u, ...half.set, ...widened(half)] },
} satisfies Record<string, Kind>;

export type KernelDtype = keyof typeof kinds;
/** Whether numbers of that type are widened by WebAssembly; others go one by one. */
export const hasKernel = (dtype: string): dtype is KernelDtype => Object.hasOwn(kinds, dtype);

/** The same 32 bits in each lane. */
const all = (bits: number): Code => [...i32.const(bits), ...i32x4.splat];
const shifted = (by: number): Code => [...i32.const(by), ...i32x4.shl];

/**
 * The bits of four halves as those of float32. A half's exponent counts from -15 and a float32's from -127, and its fraction is 13 bits
 * shorter. Halves without an exponent are multiples of 2^-24 below 2^-14: with the exponent of 2^-14 they are just that too large. An
 * exponent of ones (infinite, no number) stays one of ones.
 */
function widened(half: Local): Code {
  const magnitude = [...half.get, ...all(0x7fff), ...v128.and];
  const normal = [...magnitude, ...shifted(13), ...all((127 - 15) << 23), ...i32x4.add];
  const smallest = all((127 - 14) << 23);
  const tiny = [...magnitude, ...shifted(13), ...smallest, ...v128.or, ...smallest, ...f32x4.sub];
  const isTiny = [...magnitude, ...all(0x0400), ...i32x4.lt_s];
  const ones = [...magnitude, ...all(0x7bff), ...i32x4.gt_s, ...all(0x7f800000), ...v128.and];
  const sign = [...half.get, ...all(0x8000), ...v128.and, ...shifted(16)];
  return [...tiny, ...normal, ...isTiny, ...v128.bitselect, ...ones, ...v128.or, ...sign, ...v128.or];
}

/** Notes in the sign of `seen` whether four float32 are finite: see finite.ts. */
const look = (four: Local, seen: Local): Code => [
  ...[...four.get, ...all(MAGNITUDE), ...v128.and, ...all(TO_SIGN), ...i32x4.add],
  ...[...seen.get, ...v128.or, ...seen.set],
];

/** Four less of a count, and whether anything is left. */
const fewer = (count: Local): Code => [...raise(count, i32.const(-4)), ...count.get, ...i32.const(0), ...i32.gt_s];

/** widen(from, to, count): elements one after the other. */
function widening({ bytes, load }: Kind): Routine {
  const [from, to, count, seen, half, four] = [local(0), local(1), local(2), local(3), local(4), local(5)];
  const body = [
    ...loop(
      [...from.get, ...load(half), ...four.set, ...look(four, seen)],
      [...to.get, ...four.get, ...v128.store],
      [...raise(from, i32.const(4 * bytes)), ...raise(to, i32.const(16)), ...fewer(count)],
    ),
    ...[...seen.get, ...i32x4.bitmask],
  ];
  return { parameters: 3, others: ["v128", "v128", "v128"], body };
}

/**
 * turn(from, to, rows, columns, stride, across): a matrix whose rows are `stride` bytes apart becomes its transpose, whose rows are
 * `across` bytes apart. Of both sides four are done at a time: more than there are where that divides them with a rest.
 */
function turning({ bytes, load }: Kind): Routine {
  const [from, to, rows, columns, stride, across] = [local(0), local(1), local(2), local(3), local(4), local(5)];
  const [next, at, place, left] = [local(6), local(7), local(8), local(9)];
  const [seen, half, a, b, c, d] = [local(10), local(11), local(12), local(13), local(14), local(15)];
  const read = (row: Local): Code => [...at.get, ...load(half), ...row.set, ...look(row, seen), ...raise(at, stride.get)];
  const interleaved = (one: Local, other: Local): Code => [
    ...[...one.get, ...other.get, ...i32x4.shuffle(0, 4, 1, 5), ...one.get, ...other.get, ...i32x4.shuffle(2, 6, 3, 7)],
    ...[...other.set, ...one.set],
  ];
  const write = (one: Local, other: Local, ...lanes: number[]): Code => [
    ...[...place.get, ...one.get, ...other.get, ...i32x4.shuffle(...lanes), ...v128.store, ...raise(place, across.get)],
  ];
  const square = [
    ...[...next.get, ...at.set, ...read(a), ...read(b), ...read(c), ...read(d)],
    ...[...interleaved(a, b), ...interleaved(c, d)], // a0 b0 a1 b1 and a2 b2 a3 b3
    ...[...write(a, c, 0, 1, 4, 5), ...write(a, c, 2, 3, 6, 7), ...write(b, d, 0, 1, 4, 5), ...write(b, d, 2, 3, 6, 7)],
  ];
  const body = [
    ...loop(
      [...from.get, ...next.set, ...to.get, ...place.set, ...columns.get, ...left.set],
      loop(square, raise(next, i32.const(4 * bytes)), fewer(left)),
      [...from.get, ...at.set, ...raise(at, stride.get), ...raise(at, stride.get), ...raise(at, stride.get), ...raise(at, stride.get)],
      [...at.get, ...from.set, ...raise(to, i32.const(16)), ...fewer(rows)],
    ),
    ...[...seen.get, ...i32x4.bitmask],
  ];
  return { parameters: 6, others: ["i32", "i32", "i32", "i32", "v128", "v128", "v128", "v128", "v128", "v128"], body };
}

/** The loops of a type, which answer 0 where all elements are finite; addresses, strides and counts are in their memory. */
export interface Kernel {
  widen: (from: number, to: number, count: number) => number;
  turn: (from: number, to: number, rows: number, columns: number, stride: number, across: number) => number;
}

const names = Object.keys(kinds) as KernelDtype[];
const start = programOf(() =>
  Object.fromEntries(
    names.flatMap((name): [string, Routine][] => [
      [`widen ${name}`, widening(kinds[name])],
      [`turn ${name}`, turning(kinds[name])],
    ]),
  ),
);

/** The loops of every type, over a new memory of at least so many bytes. */
export function startKernels(bytes: number): { memory: ArrayBuffer; kernels: Readonly<Record<KernelDtype, Kernel>> } {
  const { memory, functions } = start(bytes);
  const kernels = names.map((name) => [name, { widen: functions[`widen ${name}`], turn: functions[`turn ${name}`] }]);
  return { memory, kernels: Object.fromEntries(kernels) as Record<KernelDtype, Kernel> };
}
