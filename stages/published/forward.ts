/** A published network asked once, on tensors as PyTorch lays them out: what parity with the published library is held to. */
import type { Engine } from "../../engine/engine.ts";
import type { InputArray } from "../../engine/program.ts";
import type { Weights } from "../../engine/weights.ts";
import { fromChannelsFirst, toChannelsFirst } from "../../models/published/torch.ts";
import { Failure } from "../../schemas/failure.ts";
import { watched } from "./complete.ts";
import type { PublishedPart } from "./part.ts";

/** A tensor of a file: `isWhole` where its elements are whole numbers. */
export type GivenTensor = Weights[string] & { isWhole: boolean };

/**
 * What the part computes of these inputs, by the published names; images go in and come out [b, c, h, w]. Throws a Failure that
 * names a parameter which the network reads and the file lacks.
 */
export async function forwardOf(options: {
  engine: Engine;
  part: PublishedPart;
  /** Names the part in errors. */
  folder: string;
  /** One of the network's calls. */
  call: string;
  inputs: Record<string, GivenTensor>;
}): Promise<{ outputs: Record<string, Weights[string]>; read: ReadonlySet<string> }> {
  const { engine, part, folder, call, inputs } = options;
  const own = Object.fromEntries(
    Object.entries(inputs).map(([name, { isWhole, ...tensor }]) => [
      name,
      { isWhole, ...(isImage(tensor) ? fromChannelsFirst(tensor) : tensor) },
    ]),
  );
  const read = new Set<string>();
  const shapes: Record<string, number[]> = {};
  const program = await engine
    .compile({
      name: `${folder} ${call}`,
      sets: { network: engine.constants("network", part.weights) },
      inputs: Object.fromEntries(
        Object.entries(own).map(([name, { shape, isWhole }]) => [
          name,
          { shape, dtype: isWhole ? ("int32" as const) : ("float32" as const) },
        ]),
      ),
      run: ({ network }, tensors) => {
        const outputs = part.network.forward(watched(network, { read: (name) => read.add(name) }), tensors, call);
        for (const [name, { shape }] of Object.entries(outputs)) shapes[name] = shape;
        return { outputs };
      },
    })
    .catch((error: Error) => {
      const [, missing] = /parameter "(.+?)" is missing/.exec(error.message) ?? [];
      if (missing === undefined) throw error;
      throw new Failure(`Cannot use ${folder}: its weights lack the parameter "${missing}". Fetch them again.`, { cause: error });
    });
  const values = Object.fromEntries(
    Object.entries(own).map(([name, { data, isWhole }]): [string, InputArray] => [name, isWhole ? Int32Array.from(data) : data]),
  );
  const outputs = await program.run(values);
  const published = Object.entries(outputs).map(([name, data]) => {
    const tensor = { shape: shapes[name] as number[], data: Float32Array.from(data) };
    return [name, isImage(tensor) ? toChannelsFirst(tensor) : tensor] as const;
  });
  return { outputs: Object.fromEntries(published), read };
}

const isImage = ({ shape }: { shape: readonly number[] }): boolean => shape.length === 4;
