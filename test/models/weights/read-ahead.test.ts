/** Tensors read in another order of their sides, in several pieces, here and by threads: against places written out by index. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startCompute } from "../../../engine/compute.ts";
import type { Weights } from "../../../engine/weights.ts";
import { openSafetensors } from "../../../models/weights/open.ts";
import { type Asked, readAhead } from "../../../models/weights/read-ahead.ts";
import type { ReadingApi } from "../../../models/weights/reader.ts";
import { assert, suite } from "../../harness.ts";
import { file } from "./file.ts";

const test = suite("reading ahead");
const folder = mkdtempSync(join(tmpdir(), "onestep-ahead-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

/** Element i of every tensor, as the upper half of a float32: bfloat16 holds it too. */
const upper = (i: number): number => 0x3f80 + (Math.imul(i, 7919) & 0x3f);
/** What those bits are: 1 and on in steps of 2^-7. */
const float = (high: number): number => 1 + (high & 0x3f) / 128;
const length = 130 * 700 * 3 * 5; // 5.5 MB as float32: several pieces, none of them of whole tiles at the end

const singles = new Uint8Array(Uint32Array.from({ length }, (_, i) => upper(i) << 16).buffer);
const brains = new Uint8Array(Uint16Array.from({ length }, (_, i) => upper(i)).buffer);
const header = {
  conv: { dtype: "F32", shape: [130, 700, 3, 5], data_offsets: [0, singles.length] },
  matrix: { dtype: "BF16", shape: [1500, 910], data_offsets: [singles.length, singles.length + brains.length] },
  row: { dtype: "F16", shape: [3], data_offsets: [singles.length + brains.length, singles.length + brains.length + 6] },
};

function written(name: string, row: readonly number[]): string {
  const path = join(folder, name);
  writeFileSync(path, file(header, Buffer.concat([singles, brains, new Uint8Array(Uint16Array.from(row).buffer)])));
  return path;
}

async function all(path: string, threads: number): Promise<[name: string, tensor: Weights[string]][]> {
  const found: [string, Weights[string]][] = [];
  for await (const each of readAhead(await asked(path), threads)) found.push(each);
  return found;
}

async function asked(path: string): Promise<Asked[]> {
  const { conv, matrix, row } = (await openSafetensors(path)).tensors;
  return [
    ["kernel", conv!, { order: [2, 3, 1, 0], isChecked: true }],
    ["turned", matrix!, { order: [1, 0], isChecked: true }],
    ["row", row!, { isChecked: true }],
    ["whole", conv!],
  ];
}

for (const threads of [1, 2]) {
  test(`kernels of several pieces lie in the order that was asked for, with ${threads} thread(s)`, async () => {
    const found = await all(written("sound", [0x3c00, 0xc000, 0x0001]), threads);
    assert.equal(
      found.map(([name, { shape }]) => [name, shape]),
      [
        ["kernel", [3, 5, 700, 130]],
        ["turned", [910, 1500]],
        ["row", [3]],
        ["whole", [130, 700, 3, 5]],
      ],
    );
    const [kernel, turned, row, whole] = found.map(([, { data }]) => data) as [Float32Array, Float32Array, Float32Array, Float32Array];
    let wrong = 0;
    for (let at = 0, h = 0; h < 3; h++)
      for (let w = 0; w < 5; w++)
        for (let i = 0; i < 700; i++)
          for (let o = 0; o < 130; o++, at++) if (kernel[at] !== float(upper(((o * 700 + i) * 3 + h) * 5 + w))) wrong++;
    for (let at = 0, i = 0; i < 910; i++) for (let o = 0; o < 1500; o++, at++) if (turned[at] !== float(upper(o * 910 + i))) wrong++;
    for (let i = 0; i < length; i++) if (whole[i] !== float(upper(i))) wrong++;
    assert.is(wrong, 0);
    assert.equal([...row], [1, -2, 2 ** -24]);
  });

  test(`an element that is not finite ends it with a sentence, with ${threads} thread(s)`, async () => {
    const path = written("broken", [0x3c00, 0x7c00, 0x7e00]);
    await assert.rejects(
      all(path, threads),
      /Cannot use .*broken: element 1 of tensor "row" is not finite \(Infinity\)\. Fetch it again\./,
    );
  });
}

test("a thread of readers reads as this one does, and says the same of what is not finite", async () => {
  const module = new URL("../../../models/weights/reader.ts", import.meta.url);
  const reader = await startCompute<ReadingApi>({ name: "reader of weights", module, options: {} });
  try {
    const { conv, row } = (await openSafetensors(written("there", [0x3c00, 0x7c00, 0x7e00]))).tensors;
    const order = [2, 3, 1, 0];
    const kernel = await reader.call("read", { stored: conv!.stored, order, isChecked: true });
    assert.ok(Buffer.from(kernel.buffer).equals(Buffer.from((await conv!.read({ order })).buffer)));
    assert.is(kernel[700 * 130 + 1], float(upper(700 * 3 * 5 + 1)), "kernel[0][1][0][1]");
    await assert.rejects(reader.call("read", { stored: row!.stored, isChecked: true }), /there: element 1 of tensor "row" is not finite/);
  } finally {
    await reader.close();
  }
});

for (const [dtype, one, wrong] of [
  ["F16", 0x3c00, 0xfc00],
  ["BF16", 0x3f80, 0xff80],
] as const) {
  test(`an element of ${dtype} that is not finite is found by its place in the file where it is turned`, async () => {
    const shape = [150, 70];
    const values = new Uint16Array(150 * 70).fill(one);
    values[100 * 70 + 3] = wrong;
    const path = join(folder, `wrong-${dtype}`);
    writeFileSync(path, file({ matrix: { dtype, shape, data_offsets: [0, values.byteLength] } }, new Uint8Array(values.buffer)));
    const { matrix } = (await openSafetensors(path)).tensors;
    await assert.rejects(
      matrix!.read({ order: [1, 0], isChecked: true }),
      /wrong-B?F16: element 7003 of tensor "matrix" is not finite \(-Infinity\)/,
    );
    const turned = await matrix!.read({ order: [1, 0] });
    assert.equal([turned[3 * 150 + 99], turned[3 * 150 + 100]], [1, Number.NEGATIVE_INFINITY], "nobody asked");
  });
}

test.run();
