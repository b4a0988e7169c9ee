/** Safetensors files written in pieces. */
import { createReadStream, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { safetensorsPieces, sourcesOf, type TensorSource } from "../../../models/weights/pieces.ts";
import { decodeSafetensors, encodeSafetensors } from "../../../models/weights/safetensors.ts";
import { toHalf } from "../../../schemas/numbers/half.ts";
import { normals } from "../../../schemas/numbers/philox.ts";
import { writeAtomic } from "../../../store/places/atomic.ts";
import { sha256, sha256Pieces } from "../../../store/places/hash.ts";
import { assert, suite } from "../../harness.ts";

const test = suite("safetensors pieces");
const folder = mkdtempSync(join(tmpdir(), "onestep-pieces-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

async function gathered(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return all;
}

const weights = {
  "b.kernel": { shape: [3, 1_000_000], data: normals({ seed: 1, stream: "b", length: 3_000_000 }) },
  "a.scale": { shape: [], data: Float32Array.of(Math.PI) },
  "c.empty": { shape: [0, 4], data: new Float32Array(0) },
};

for (const dtype of ["F32", "F16"] as const) {
  test(`${dtype}: the pieces are small, and together the file that is encoded whole`, async () => {
    const pieces = safetensorsPieces({ tensors: sourcesOf(weights, dtype), metadata: { step: "7" } });
    const whole = encodeSafetensors({ tensors: weights, metadata: { step: "7" }, dtype });
    const first = await gathered(pieces);
    assert.ok(first.every(({ length }) => length <= 2 ** 23) && first.length > 3);
    assert.ok(Buffer.concat(first).equals(whole));
    assert.ok(Buffer.concat(await gathered(pieces)).equals(whole), "again");
    const { data } = decodeSafetensors(whole).tensors["b.kernel"]!;
    if (dtype === "F16") assert.equal(toHalf(data), toHalf(weights["b.kernel"].data));
    else assert.equal(data, weights["b.kernel"].data);
  });
}

test("a file written in pieces appears whole, with the hash of its pieces", async () => {
  const path = join(folder, "written.safetensors");
  const pieces = safetensorsPieces({ tensors: sourcesOf(weights) });
  const hash = await sha256Pieces(pieces);
  let seen: string | undefined;
  await writeAtomic(path, pieces, async (temporary) => {
    seen = await sha256Pieces(createReadStream(temporary));
  });
  assert.is(seen, hash);
  assert.is(await sha256(readFileSync(path)), hash);
  assert.ok(readFileSync(path).equals(encodeSafetensors({ tensors: weights })));
});

test("sources may come from elsewhere, in their own dtype, and must fill their shape", async () => {
  async function* later(): AsyncGenerator<Uint8Array> {
    for (const byte of [0x80, 0x3f, 0x00, 0xc0]) yield Uint8Array.of(byte);
  }
  const source = (shape: number[]): TensorSource => ({ shape, dtype: "BF16", pieces: later });
  const bytes = Buffer.concat(await gathered(safetensorsPieces({ tensors: { x: source([2]) } })));
  assert.equal(decodeSafetensors(bytes).tensors.x, { shape: [2], dtype: "BF16", data: Float32Array.of(1, -2) });
  const message = (bytes: string, wanted: number) => new RegExp(`"x" of shape .* its source gave ${bytes} bytes instead of ${wanted}`);
  await assert.rejects(gathered(safetensorsPieces({ tensors: { x: source([3]) } })), message("4", 6));
  await assert.rejects(gathered(safetensorsPieces({ tensors: { x: source([1]) } })), message("at least 3", 2));
});

test.run();
