/** Names and layouts of PyTorch, against rearrangements written out by index; there and back is exact; and names of files. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { weightsIn } from "../../models/published/folder.ts";
import { fromChannelsFirst, fromTorch, toChannelsFirst, toTorch } from "../../models/published/torch.ts";
import { assert, suite } from "../harness.ts";
import { freshFolder } from "../simulate/fixture.ts";

const test = suite("PyTorch's layouts");
const ramp = (shape: number[]) => ({ shape, data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i) });

const stored = {
  "conv.weight": ramp([4, 3, 2, 5]),
  "conv.bias": ramp([4]),
  "linear.weight": ramp([3, 2]),
  "norm.weight": ramp([6]),
  "embedding.weight": ramp([7, 2]),
  scale_shift_table: ramp([2, 3]),
};
const names = { tables: /^embedding\.weight$/ };

test("kernels are turned, tables and all else stay, and the way back is exact", () => {
  const own = fromTorch(stored, names);
  assert.equal(Object.keys(own), ["conv.kernel", "conv.bias", "linear.kernel", "norm.scale", "embedding.table", "scale_shift_table"]);
  const kernel = own["conv.kernel"]!;
  assert.equal(kernel.shape, [2, 5, 3, 4]);
  for (const [h, w, i, o] of [
    [0, 0, 0, 0],
    [1, 4, 2, 3],
    [1, 2, 0, 3],
  ] as const) {
    assert.is(kernel.data[((h * 5 + w) * 3 + i) * 4 + o], ((o * 3 + i) * 2 + h) * 5 + w);
  }
  assert.equal([...own["linear.kernel"]!.data], [0, 2, 4, 1, 3, 5]);
  assert.equal(own["embedding.table"], stored["embedding.weight"]);
  assert.equal(toTorch(own), stored);
});

test("images there and back", () => {
  const image = ramp([2, 3, 4, 5]);
  const own = fromChannelsFirst(image);
  assert.equal(own.shape, [2, 4, 5, 3]);
  assert.is(own.data[(3 * 5 + 2) * 3 + 1], (1 * 4 + 3) * 5 + 2);
  assert.equal(toChannelsFirst(own), image);
});

test("old names are read as today's; two of one name are refused; what is no parameter is left out", () => {
  const today = (name: string) => (name === "position_ids" ? undefined : name.replace("query", "to_q"));
  const own = fromTorch({ "query.weight": ramp([2, 2]), position_ids: ramp([3]) }, { today });
  assert.equal(Object.keys(own), ["to_q.kernel"]);
  const twice = { "query.weight": ramp([2, 2]), "to_q.weight": ramp([2, 2]) };
  assert.throws(() => fromTorch(twice, { today }), /"to_q\.weight" twice, once as "to_q\.weight"/);
});

test("weights are found as libraries name them: whole before a variant, float16 before another, several by their index", async () => {
  for (const [names, expected] of [
    [["model.fp16.safetensors", "model.safetensors"], "model.safetensors"],
    [["diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.bf16.safetensors"], "diffusion_pytorch_model.fp16.safetensors"],
    [["diffusion_pytorch_model.bf16.safetensors"], "diffusion_pytorch_model.bf16.safetensors"],
    [["model.safetensors.index.fp16.json", "model.fp16-00001-of-00002.safetensors"], "model.safetensors.index.fp16.json"],
    [["model.fp16.safetensors.index.json", "model.fp16-00001-of-00002.safetensors"], "model.fp16.safetensors.index.json"],
  ] as const) {
    const folder = freshFolder();
    mkdirSync(folder, { recursive: true });
    for (const name of names) writeFileSync(join(folder, name), "");
    assert.is(await weightsIn(folder), join(folder, expected));
  }
});

test.run();
