/** Gradient checkpointing of published networks, at the inputs of their golden vectors. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fromChannelsFirst } from "../../models/published/torch.ts";
import { readGolden } from "../../stages/published/golden.ts";
import { readPart } from "../../stages/published/part.ts";
import { type Case, holdToBits, LIMIT, meanSquare } from "../engine/checkpointing.ts";
import { suite } from "../harness.ts";
import { pipelines } from "./golden.ts";

const test = suite("gradient checkpointing of published networks");

/** By pipeline: the part that denoises, as its golden forward is called. */
const published = { ddpm: "unet", dit: "transformer" };

for (const [pipeline, name] of Object.entries(published)) {
  const folder = join(pipelines, pipeline);
  if (!existsSync(folder)) test.skip(`${pipeline}: the same bits`, `there is no ${folder}`);
  else test(`${pipeline}: the same bits`, async () => holdToBits(await publishedCase(folder, name)), LIMIT);
}

async function publishedCase(folder: string, name: string): Promise<Case> {
  const { golden, tensors } = await readGolden(join(folder, "golden.safetensors"));
  const { network, weights } = await readPart(existsSync(join(folder, name)) ? join(folder, name) : folder);
  const given = Object.entries(golden.forwards.find((forward) => forward.name === name)!.inputs).map(([input, key]) => {
    const tensor = tensors[key]!;
    const own = tensor.shape.length === 4 ? fromChannelsFirst(tensor) : tensor;
    return [input, { ...own, isWhole: /^[IU]\d+$/.test(tensor.dtype) }] as const;
  });
  return {
    weights,
    inputs: Object.fromEntries(
      given.map(([input, { shape, isWhole }]) => [input, { shape, dtype: isWhole ? "int32" : "float32" }] as const),
    ),
    feeds: Object.fromEntries(given.map(([input, { data, isWhole }]) => [input, isWhole ? Int32Array.from(data) : data] as const)),
    loss: (parameters, inputs) => meanSquare(Object.values(network.forward(parameters, inputs, network.calls[0] ?? ""))[0]!),
  };
}

test.run();
