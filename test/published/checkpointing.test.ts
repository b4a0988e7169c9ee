/** Gradient checkpointing of published networks, at the inputs of their golden vectors. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Tensor } from "../../engine/tfjs.ts";
import { fromChannelsFirst } from "../../models/published/torch.ts";
import { readGolden } from "../../stages/published/golden.ts";
import { readPart } from "../../stages/published/part.ts";
import { type Case, holdToBits, LIMIT, meanSquare } from "../engine/checkpointing.ts";
import { suite } from "../harness.ts";
import { pipelines } from "./golden.ts";

const test = suite("gradient checkpointing of published networks");

/**
 * By pipeline: the part that denoises, as its golden forward is called, and one in how many parameters is trained, from the first on.
 * Gradients go back through all blocks whichever those are, and a program compiles the faster the fewer it changes.
 */
const published: Record<string, [name: string, oneIn: number]> = {
  ddpm: ["unet", 1],
  dit: ["transformer", 1],
  edm: ["network_raw", 9],
  flux: ["transformer", 9],
  pixart: ["transformer", 9],
  sd15: ["unet", 27],
  sd3: ["transformer", 9],
  sdxl: ["unet", 27],
};

for (const [pipeline, [name, oneIn]] of Object.entries(published)) {
  const folder = join(pipelines, pipeline);
  if (!existsSync(folder)) test.skip(`${pipeline}: the same bits`, `there is no ${folder}`);
  else test(`${pipeline}: the same bits`, async () => holdToBits(await publishedCase(folder, name, oneIn)), LIMIT);
}

async function publishedCase(folder: string, name: string, oneIn: number): Promise<Case> {
  const { golden, tensors } = await readGolden(join(folder, "golden.safetensors"));
  const { network, weights } = await readPart(existsSync(join(folder, name)) ? join(folder, name) : folder);
  const isTrained = new Set(Object.keys(weights).filter((_, i) => i % oneIn === 0));
  const part = (trained: boolean) => Object.entries(weights).filter(([of]) => isTrained.has(of) === trained);
  const frozen = part(false);
  const given = Object.entries(golden.forwards.find((forward) => forward.name === name)!.inputs).map(([input, key]) => {
    const tensor = tensors[key]!;
    const own = tensor.shape.length === 4 ? fromChannelsFirst(tensor) : tensor;
    return [input, { ...own, isWhole: /^[IU]\d+$/.test(tensor.dtype) }] as const;
  });
  return {
    weights: Object.fromEntries(part(true)),
    inputs: {
      ...Object.fromEntries(frozen.map(([of, { shape }]) => [of, { shape }])),
      ...Object.fromEntries(given.map(([input, { shape, isWhole }]) => [input, { shape, dtype: isWhole ? "int32" : "float32" } as const])),
    },
    feeds: {
      ...Object.fromEntries(frozen.map(([of, { data }]) => [of, data])),
      ...Object.fromEntries(given.map(([input, { data, isWhole }]) => [input, isWhole ? Int32Array.from(data) : data] as const)),
    },
    loss: (parameters, inputs) => {
      const all = { ...Object.fromEntries(frozen.map(([of]) => [of, inputs[of] as Tensor])), ...parameters };
      return meanSquare(Object.values(network.forward(all, inputs, network.calls.includes(name) ? name : ""))[0]!);
    },
  };
}

test.run();
