/**
 * WebAssembly's binary form, as far as a loop over vectors needs it: instructions by their names in the specification.
 * https://webassembly.github.io/spec/core/binary/instructions.html
 */

/** Bytes of instructions, one after the other. */
export type Code = readonly number[];

/** LEB128, seven bits a byte from the lowest: of a number from 0 on, and of one whose last byte has its sign. */
const unsigned = (value: number): Code => (value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)]);
function signed(value: number): Code {
  const [low, rest] = [value & 0x7f, value >> 7];
  return rest === (low & 0x40 ? -1 : 0) ? [low] : [low | 0x80, ...signed(rest)];
}

const list = (items: readonly Code[]): Code => [...unsigned(items.length), ...items.flat()];
const sized = (code: Code): Code => [...unsigned(code.length), ...code];
const text = (name: string): Code => sized([...Buffer.from(name)]);

/** Types of values: whole numbers and addresses, and vectors of 16 bytes. */
const TYPES = { i32: 0x7f, v128: 0x7b };
const FUNCTION = 0x60;
const NOTHING = 0x40;
const END = 0x0b;

const vectors = (opcode: number): Code => [0xfd, ...unsigned(opcode)];
const memory: Code = [0, 0]; // promises no alignment, and adds nothing to the address

export const i32 = { add: [0x6a], gt_s: [0x4a], const: (value: number): Code => [0x41, ...signed(value | 0)] } as const;
export const v128 = {
  load: [...vectors(0x00), ...memory],
  load16x4_u: [...vectors(0x04), ...memory],
  store: [...vectors(0x0b), ...memory],
  and: vectors(0x4e),
  or: vectors(0x50),
  bitselect: vectors(0x52),
} as const;
export const i32x4 = {
  splat: vectors(0x11),
  lt_s: vectors(0x39),
  gt_s: vectors(0x3b),
  bitmask: vectors(0xa4),
  shl: vectors(0xab),
  add: vectors(0xae),
  /** Four lanes of two vectors: those of the first are 0 to 3, those of the second 4 to 7. */
  shuffle: (...lanes: number[]): Code => [...vectors(0x0d), ...lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte))],
} as const;
export const f32x4 = { sub: vectors(0xe5) } as const;
export const f64x2 = {
  promote_low_f32x4: vectors(0x5f),
  add: vectors(0xf0),
  mul: vectors(0xf2),
  pmin: vectors(0xf6),
  pmax: vectors(0xf7),
} as const;

/** Repeats what leaves whether it shall be repeated. */
export const loop = (...body: Code[]): Code => [0x03, NOTHING, ...body.flat(), 0x0d, 0, END];

/** A parameter or other value of a function, by its place among them. */
export interface Local {
  get: Code;
  set: Code;
}
/** The local variable at that place, parameters first. */
export const local = (place: number): Local => ({ get: [0x20, ...unsigned(place)], set: [0x21, ...unsigned(place)] });

/** Adds to a number. */
export const raise = (number: Local, by: Code): Code => [...number.get, ...by, ...i32.add, ...number.set];

/** A function of numbers that answers one; its other values, vectors or not, follow the parameters. */
export interface Routine {
  parameters: number;
  others: readonly (keyof typeof TYPES)[];
  body: Code;
}

/** What TypeScript's types for Node leave out. */
declare const WebAssembly: {
  Memory: new (pages: { initial: number }) => { buffer: ArrayBuffer };
  Module: new (code: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { exports: Readonly<Record<string, (...numbers: number[]) => number>> };
};

/** Bytes in which memory is given out. */
const PAGE = 2 ** 16;

/** Functions by name over a memory of their own. */
export interface Program {
  memory: ArrayBuffer;
  functions: Readonly<Record<string, (...numbers: number[]) => number>>;
}

/**
 * Answers a function that starts routines over a new memory of so many bytes or a few more, zeros at first. They are put together and
 * compiled when that is first asked for.
 *
 * @example
 * import { i32, local, programOf } from "./assembly.ts";
 * const body = [...local(0).get, ...local(1).get, ...i32.add];
 * const { functions } = programOf(() => ({ plus: { parameters: 2, others: [], body } }))(0);
 * assert.equal(functions.plus?.(40, 2), 42);
 */
export function programOf(routines: () => Readonly<Record<string, Routine>>): (bytes: number) => Program {
  let module: object | undefined;
  return (bytes) => {
    module ??= new WebAssembly.Module(assembled(routines()));
    const memory = new WebAssembly.Memory({ initial: Math.max(1, Math.ceil(bytes / PAGE)) });
    const { exports } = new WebAssembly.Instance(module, { env: { memory } });
    return { memory: memory.buffer, functions: exports };
  };
}

/** A module that exports functions by name and takes its memory from `env.memory`. */
function assembled(routines: Readonly<Record<string, Routine>>): Uint8Array<ArrayBuffer> {
  const all = Object.values(routines);
  const section = (id: number, items: readonly Code[]): Code => [id, ...sized(list(items))];
  const signature = ({ parameters }: Routine): Code => [FUNCTION, ...list(new Array(parameters).fill([TYPES.i32])), ...list([[TYPES.i32]])];
  const named = Object.keys(routines).map((name, i): Code => [...text(name), 0, ...unsigned(i)]);
  const bodies = all.map(({ others, body }) => sized([...list(others.map((type) => [1, TYPES[type]])), ...body, END]));
  return Uint8Array.from([
    ...[0, ...Buffer.from("asm"), 1, 0, 0, 0],
    ...section(1, all.map(signature)),
    ...section(2, [[...text("env"), ...text("memory"), 2, 0, 1]]), // of at least one page
    ...section(3, Array.from(all.keys(), unsigned)),
    ...section(7, named),
    ...section(10, bodies),
  ]);
}
