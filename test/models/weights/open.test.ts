/** Safetensors files opened without reading them: any size, any offset, in one file or several. */
import { createHash } from "node:crypto";
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hashFrozen, hashWeights, inMemory } from "../../../engine/weights.ts";
import { openSafetensors } from "../../../models/weights/open.ts";
import { encodeSafetensors, readSafetensors } from "../../../models/weights/safetensors.ts";
import { normals } from "../../../schemas/numbers/philox.ts";
import { assert, suite } from "../../harness.ts";
import { damaged, file, inexact } from "./file.ts";

const test = suite("open safetensors");
const folder = mkdtempSync(join(tmpdir(), "onestep-open-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

function written(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

test("tensors of every size of element at odd offsets come one by one, in the dtype they have", async () => {
  const header = {
    a: { dtype: "U8", shape: [3], data_offsets: [0, 3] },
    b: { dtype: "F16", shape: [2], data_offsets: [3, 7] },
    c: { dtype: "F32", shape: [1, 2], data_offsets: [7, 15] },
    d: { dtype: "I64", shape: [], data_offsets: [15, 23] },
    e: { dtype: "BF16", shape: [2, 1], data_offsets: [23, 27] },
    f: { dtype: "F32", shape: [0, 7], data_offsets: [27, 27] },
  };
  const json = `${JSON.stringify(header)}${" ".repeat(3 - (JSON.stringify(header).length % 2))}`;
  assert.is((8 + json.length) % 2, 1, "the data starts at an odd byte");
  const data = Buffer.from(["010203", "003c00c0", "0000803f000000c0", "feffffffffffffff", "803f00c0"].join(""), "hex");
  const path = written("odd.safetensors", file(json, data));
  const { tensors } = await openSafetensors(path);
  assert.equal(Object.keys(tensors), ["a", "b", "c", "d", "e", "f"]);
  const { b, c } = tensors;
  assert.equal([b?.dtype, b?.shape, b?.offset, b?.byteLength], ["F16", [2], 8 + json.length + 3, 4]);
  assert.equal(await c?.read(), Float32Array.of(1, -2), "alone, before the others");
  const values = Object.fromEntries(Object.entries(await inMemory(tensors)).map(([name, tensor]) => [name, [...tensor.data]]));
  assert.equal(values, { a: [1, 2, 3], b: [1, -2], c: [1, -2], d: [-2], e: [1, -2], f: [] });
  const stored: Uint8Array[] = [];
  for await (const piece of b?.pieces() ?? []) stored.push(piece);
  assert.equal(Buffer.concat(stored).toString("hex"), "003c00c0");
});

test("all 65536 halves and bfloat16s of a file have the values of their bits", async () => {
  const bits = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const header = {
    b: { dtype: "BF16", shape: [65536], data_offsets: [0, 131072] },
    h: { dtype: "F16", shape: [65536], data_offsets: [131072, 262144] },
  };
  const { tensors } = await openSafetensors(
    written("all.safetensors", file(header, new Uint8Array(Buffer.concat([Buffer.from(bits.buffer), Buffer.from(bits.buffer)])))),
  );
  const [b, h] = [await tensors.b!.read(), await tensors.h!.read()];
  for (let i = 0; i < 65536; i++) {
    const value = (exponentBits: number, fractionBits: number): number => {
      const [sign, bias, top] = [i & 0x8000 ? -1 : 1, 2 ** (exponentBits - 1) - 1, 2 ** exponentBits - 1];
      const [exponent, fraction] = [(i >> fractionBits) & top, (i & (2 ** fractionBits - 1)) / 2 ** fractionBits];
      if (exponent === top) return fraction ? NaN : sign * Infinity;
      return sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias));
    };
    assert.ok(Object.is(b[i], value(8, 7)), `bfloat16 ${i}`);
    assert.ok(Object.is(h[i], value(5, 10)), `half ${i}`);
  }
});

test("one tensor beyond 2 GiB and one beyond 4 GiB are read from a file of holes", async () => {
  const [low, gap] = [3 * 2 ** 30 + 2, 2 ** 31];
  const header = {
    first: { dtype: "U8", shape: [low], data_offsets: [0, low] },
    second: { dtype: "F32", shape: [3], data_offsets: [low, low + 12] },
    third: { dtype: "F16", shape: [gap / 2], data_offsets: [low + 12, low + 12 + gap] },
    fourth: { dtype: "BF16", shape: [2], data_offsets: [low + 12 + gap, low + 16 + gap] },
  };
  const head = file(header, new Uint8Array(0));
  const path = join(folder, "holes.safetensors");
  const handle = openSync(path, "w");
  writeSync(handle, head);
  ftruncateSync(handle, head.length + low + 16 + gap);
  writeSync(handle, new Uint8Array(Float32Array.of(1.5, -2, 3).buffer), 0, 12, head.length + low);
  writeSync(handle, Buffer.from("803f00c0", "hex"), 0, 4, head.length + low + 12 + gap);
  closeSync(handle);
  assert.ok(statSync(path).blocks * 512 < 2 ** 20, "it takes no room on the disk");
  const { second, fourth } = (await openSafetensors(path)).tensors;
  assert.ok(second!.offset > 2 ** 31 && fourth!.offset > 2 ** 32);
  assert.equal(await second!.read(), Float32Array.of(1.5, -2, 3));
  assert.equal(await fourth!.read(), Float32Array.of(1, -2));

  const length = 2 ** 40;
  const huge = file({ all: { dtype: "U8", shape: [length], data_offsets: [0, length] } }, new Uint8Array(0));
  const other = openSync(join(folder, "huge.safetensors"), "w");
  writeSync(other, huge);
  ftruncateSync(other, huge.length + length);
  closeSync(other);
  const { all } = (await openSafetensors(join(folder, "huge.safetensors"))).tensors;
  await assert.rejects(all!.read(), /huge\.safetensors: tensor "all" takes 4398\.0 GB as float32/);
});

test("what is damaged is named as in memory, before any tensor is read", async () => {
  for (const [bytes, message] of damaged) await assert.rejects(openSafetensors(written("weights.safetensors", bytes)), message);
  const { tensors } = await openSafetensors(written("weights.safetensors", inexact));
  await assert.rejects(tensors.x!.read(), /weights\.safetensors: tensor "x" holds 16777217/);
  const error = await assert.rejects(openSafetensors(join(folder, "none.safetensors")));
  assert.is((error as NodeJS.ErrnoException).code, "ENOENT");

  const path = join(folder, "long.safetensors");
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(200_000_000n);
  writeFileSync(path, length);
  const handle = openSync(path, "r+");
  ftruncateSync(handle, 300_000_000);
  closeSync(handle);
  await assert.rejects(openSafetensors(path), /long\.safetensors: its header has 200000000 bytes, more than the 100000000/);
});

test("a file that changes after it was opened is refused", async () => {
  const tensors = { x: { shape: [2], data: Float32Array.of(1, 2) } };
  const path = written("changing.safetensors", encodeSafetensors({ tensors }));
  const { x } = (await openSafetensors(path)).tensors;
  rmSync(path);
  written("other", new Uint8Array(1)); // takes the number of the file that is gone, where numbers are given again
  writeFileSync(path, encodeSafetensors({ tensors, metadata: { another: "header" } }));
  await assert.rejects(x!.read(), /changing\.safetensors: it has changed since it was opened/);
});

test("the hash taken while reading is the file's, and that of opened weights is that of weights in memory", async () => {
  const weights = {
    b: { shape: [70, 70_000], data: normals({ seed: 1, stream: "b", length: 4_900_000 }) },
    a: { shape: [], data: Float32Array.of(3) },
  };
  const bytes = encodeSafetensors({ tensors: weights, metadata: { note: "ä" } });
  const path = written("hashed.safetensors", bytes);
  const { sha256, tensors, metadata } = await readSafetensors(path, { hash: true });
  assert.is(sha256, createHash("sha256").update(bytes).digest("hex"));
  assert.equal(metadata, { note: "ä" });
  assert.equal(tensors.b?.data, weights.b.data, "of several pieces");
  assert.is(await hashFrozen((await openSafetensors(path)).tensors), hashWeights(weights));
  assert.is(await hashFrozen(weights), hashWeights(weights));
});

const shard = (name: string, tensors: Record<string, number>) =>
  written(
    name,
    encodeSafetensors({
      tensors: Object.fromEntries(Object.entries(tensors).map(([key, value]) => [key, { shape: [1], data: Float32Array.of(value) }])),
      metadata: { [name]: "read" },
    }),
  );
const index = (name: string, map: unknown) =>
  written(
    `${name}.safetensors.index.json`,
    Buffer.from(typeof map === "string" ? map : JSON.stringify({ metadata: { total_size: 12 }, weight_map: map })),
  );

test("a checkpoint in several files is read through its index", async () => {
  shard("part-1.safetensors", { a: 1, c: 3, unlisted: 9 });
  shard("part-2.safetensors", { b: 2 });
  const path = index("whole", { b: "part-2.safetensors", a: "part-1.safetensors", c: "part-1.safetensors" });
  const { tensors, metadata } = await openSafetensors(path);
  assert.equal(Object.keys(tensors), ["a", "c", "b"]);
  const { tensors: read } = await readSafetensors(path);
  assert.equal(
    Object.entries(read).map(([name, { data }]) => [name, ...data]),
    [
      ["a", 1],
      ["c", 3],
      ["b", 2],
    ],
  );
  assert.equal(metadata, { "part-1.safetensors": "read", "part-2.safetensors": "read" });
});

test("an index that does not hold says what is wrong", async () => {
  shard("part-1.safetensors", { a: 1 });
  const wrong: [unknown, RegExp][] = [
    [{ a: "part-1.safetensors", b: "part-3.safetensors" }, /wrong\.safetensors\.index\.json: its file .*part-3\.safetensors is missing/],
    [{ a: "part-1.safetensors", b: "part-1.safetensors" }, /tensor "b" is not in .*part-1\.safetensors, where it says it is/],
    [{ a: "../part-1.safetensors" }, /tensor "a" in "\.\.\/part-1\.safetensors", which is not the name of a safetensors file beside it/],
    [{ a: "/etc/passwd" }, /tensor "a" in "\/etc\/passwd"/],
    [{ a: 3 }, /tensor "a" in 3/],
    [{}, /weight_map names no tensor/],
    [[], /not a JSON object with a weight_map/],
    ["{torn", /not a JSON object with a weight_map/],
  ];
  for (const [map, message] of wrong) await assert.rejects(openSafetensors(index("wrong", map)), message);
  written("part-1.safetensors", new Uint8Array(3));
  await assert.rejects(openSafetensors(index("wrong", { a: "part-1.safetensors" })), /wrong.*part-1\.safetensors: 3 bytes are too few/);
});

test.run();
