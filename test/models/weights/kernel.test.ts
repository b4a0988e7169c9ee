/** The WebAssembly loops against numbers worked out one by one: every half and bfloat16, and transposes by index. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KernelDtype } from "../../../models/weights/kernel.ts";
import { openSafetensors } from "../../../models/weights/open.ts";
import { takeRoom, rowsPerPiece, turnInto, widenInto } from "../../../models/weights/room.ts";
import { assert, suite } from "../../harness.ts";
import { file } from "./file.ts";

const test = suite("kernel of weights");
const folder = mkdtempSync(join(tmpdir(), "onestep-kernel-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const room = takeRoom();

/** The bytes of elements as a piece of the room. */
function piece(values: Uint16Array | Uint32Array): Uint8Array {
  const [into] = room.pieces;
  into.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return into.subarray(0, values.byteLength);
}

/** The value of a half by its definition. */
function halfValue(half: number): number {
  const [exponent, fraction, sign] = [(half >> 10) & 31, half & 1023, half >> 15 ? -1 : 1];
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

const every = Uint16Array.from({ length: 2 ** 16 }, (_, i) => i);

test("every half has its value", () => {
  const data = new Float32Array(2 ** 16 + 1).fill(7);
  const isFinite = widenInto(room, { piece: piece(every), dtype: "F16", data, at: 1, length: every.length });
  const wrong = every.filter((half) => !Object.is(data[half + 1], halfValue(half)));
  assert.equal([isFinite, data[0], [...wrong]], [false, 7, []]);
  const bits = new Uint32Array(data.buffer);
  assert.is(bits[1 + 0xfe01], 0xffc02000, "a half that is no number keeps its sign and fraction");
});

test("every bfloat16 is the upper half of a float32", () => {
  const data = new Float32Array(2 ** 16);
  assert.is(widenInto(room, { piece: piece(every), dtype: "BF16", data, at: 0, length: every.length }), false);
  const bits = new Uint32Array(data.buffer);
  assert.is(
    every.findIndex((high) => bits[high] !== high * 2 ** 16),
    -1,
  );
});

test("the largest of each type are finite, and one more is not, wherever it stands", () => {
  const largest = { F16: 0x7bff, BF16: 0x7f7f };
  for (const dtype of ["F16", "BF16"] as const) {
    for (const at of [0, 1, 2, 3, 16_383, 16_384, 39_999]) {
      const values = new Uint16Array(40_000).fill(largest[dtype]);
      const [data, length] = [new Float32Array(values.length), values.length];
      assert.is(widenInto(room, { piece: piece(values), dtype, data, at: 0, length }), true);
      values[at] = largest[dtype] + 0x8001;
      assert.is(widenInto(room, { piece: piece(values), dtype, data, at: 0, length }), false, `${dtype} ${at}`);
    }
  }
});

/** Elements of a type that are told from one another by their bits, and these as float32. */
const kinds: Record<
  KernelDtype,
  {
    of: (i: number) => number;
    wide: (stored: number) => number;
    array: (elements: { length: number }, map: (_: unknown, i: number) => number) => Uint16Array | Uint32Array;
  }
> = {
  F32: { of: (i) => Math.imul(i + 1, 2_654_435_761) >>> 0, wide: (bits) => bits, array: (...made) => Uint32Array.from(...made) },
  F16: { of: (i) => 0x0400 + (i % 0x7000), wide: (half) => half * 2 ** 13 + 112 * 2 ** 23, array: (...made) => Uint16Array.from(...made) },
  BF16: { of: (i) => i & 0xffff, wide: (high) => high * 2 ** 16, array: (...made) => Uint16Array.from(...made) },
};

for (const dtype of ["F32", "F16", "BF16"] as const) {
  for (const [rows, columns] of [
    [1, 1],
    [4, 4],
    [5, 3],
    [3, 130],
    [37, 129],
    [16, 257],
    [2, 5],
  ] as const) {
    test(`${rows} rows of ${columns} of ${dtype} become columns, bit by bit`, () => {
      const { of, wide, array } = kinds[dtype];
      const values = array({ length: rows * columns }, (_, i) => of(i));
      const data = new Float32Array(rows * columns + 9);
      const to = Array.from({ length: columns }, (_, i) => (columns - 1 - i) * rows); // the last column comes first
      turnInto(room, { piece: piece(values), dtype, data, rows, to }, 4);
      const bits = new Uint32Array(data.buffer);
      let wrong = 0;
      for (let i = 0; i < columns; i++)
        for (let row = 0; row < rows; row++) if (bits[4 + (columns - 1 - i) * rows + row] !== wide(of(row * columns + i))) wrong++;
      assert.equal([wrong, ...bits.subarray(0, 4), ...bits.subarray(bits.length - 5)], new Array(10).fill(0), "and nothing beside them");
    });
  }
}

test("what is not finite is noticed in every place of a matrix that is turned", () => {
  const [rows, columns] = [9, 6];
  const [data, to] = [new Float32Array(rows * columns), Array.from({ length: columns }, (_, i) => i * rows)];
  for (let at = 0; at < rows * columns; at++) {
    const values = new Uint32Array(rows * columns + 64);
    values[at] = 0xff800000;
    const whole = piece(values).subarray(0, 4 * rows * columns);
    assert.is(turnInto(room, { piece: whole, dtype: "F32", data, rows, to }, 0), false, `${at}`);
    values[at] = 0xff7fffff;
    piece(values);
    assert.is(turnInto(room, { piece: whole, dtype: "F32", data, rows, to }, 0), true, `${at}`);
  }
});

test("pieces hold whole lines of what is written, and at least four rows", () => {
  assert.equal([2, 1280, 11_520, 2 ** 20].map(rowsPerPiece), [16_384, 3264, 352, 4]);
});

for (const [name, shape] of [
  ["of few long rows", [3, 300_000]],
  ["of one column", [20_000, 1]],
  ["of one row", [1, 5]],
  ["of two pieces", [1100, 1000]],
] as const) {
  test(`a file's matrix ${name} is turned, in every type`, async () => {
    const [rows, columns] = shape as readonly [number, number];
    const elements = Array.from({ length: rows * columns }, (_, i) => i % 251);
    const values = { F32: Float32Array, F64: Float64Array, I32: Int32Array, U8: Uint8Array };
    for (const [dtype, array] of Object.entries(values)) {
      const data = new array(elements);
      const path = join(folder, `${dtype}.safetensors`);
      writeFileSync(path, file({ m: { dtype, shape, data_offsets: [0, data.byteLength] } }, new Uint8Array(data.buffer)));
      const turned = await (await openSafetensors(path)).tensors.m!.read({ order: [1, 0], isChecked: true });
      let wrong = 0;
      for (let at = 0, column = 0; column < columns; column++)
        for (let row = 0; row < rows; row++, at++) if (turned[at] !== (row * columns + column) % 251) wrong++;
      assert.equal([turned.length, wrong], [rows * columns, 0], dtype);
    }
  });
}

test.run();
