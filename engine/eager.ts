/** Runs a program directly on a TensorFlow.js backend: "cpu" is the reference the compiled form is tested against. */
import type { InputArray, ProgramSpec, Sets, Tensors } from "./program.ts";
import { tf } from "./tfjs.ts";

/** Loads the user's own tfjs-node, which registers the backend "tensorflow"; throws an Error that says how to install it. */
export async function loadTensorflow(): Promise<void> {
  const problems: string[] = [];
  for (const name of ["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node"]) {
    try {
      await import(name);
      return;
    } catch (error) {
      problems.push(`${name}: ${(error as Error).message.split("\n")[0]}`);
    }
  }
  throw new Error(
    `Cannot use device "tensorflow": neither package of TensorFlow for Node loads (${problems.join("; ")}). ` +
      "Install one with `npm install @tensorflow/tfjs-node`, or use another device.",
  );
}

/** Same contract as a compiled program's `run`. */
export async function runEagerly<S extends Sets>(
  spec: ProgramSpec<S>,
  inputs: Record<string, InputArray>,
  backend: "cpu" | "tensorflow",
): Promise<Record<string, InputArray>> {
  await tf.setBackend(backend);
  const results: Record<string, InputArray> = {};
  tf.tidy(() => {
    const sets = Object.fromEntries(
      Object.entries(spec.sets).map(([name, set]) => {
        const entries = Object.entries(set.kind === "constants" ? set.weights : set.variables);
        return [name, Object.fromEntries(entries.map(([key, { data, shape }]) => [key, tf.tensor(data, [...shape])]))];
      }),
    );
    const tensors: Tensors = {};
    for (const [name, { shape, dtype }] of Object.entries(spec.inputs)) {
      tensors[name] = tf.tensor(inputs[name] as InputArray, [...shape], dtype ?? "float32");
    }
    const { outputs, updates = {} } = spec.run(sets as { [K in keyof S]: Tensors }, tensors);
    for (const [name, tensor] of Object.entries(outputs)) results[name] = tensor.dataSync().slice() as InputArray;
    const written = Object.entries(updates).flatMap(([name, values]) =>
      Object.entries(values as Tensors).map(([key, tensor]) => ({ name, key, data: tensor.dataSync().slice() as Float32Array })),
    );
    for (const { name, key, data } of written) {
      const set = spec.sets[name];
      if (set?.kind === "variables") set.variables[key]?.data.set(data);
    }
  });
  return results;
}
