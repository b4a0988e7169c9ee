/**
 * What tfjs-node's backend refuses, made of what it computes: convolutions, pooling, an axis counted from the end, fused products. Every
 * other refusal becomes a sentence that names its kernel.
 */
import type { Attributes } from "../attributes.ts";
import { fusedParts } from "../composed.ts";
import { tf, type Tensor } from "../tfjs.ts";
import type { TensorflowBackend } from "./backend.ts";
import { convolutions } from "./convolution.ts";
import { type Mend, run } from "./padding.ts";
import { poolings } from "./pooling.ts";

const BACKEND = "tensorflow";

const GatherV2: Mend = ({ x, indices }, a) => {
  if (a.axis >= 0) return undefined;
  return run("GatherV2", { x: x as Tensor, indices: indices as Tensor }, { ...a, axis: a.axis + (x as Tensor).rank });
};
const mends: Record<string, Mend> = { ...convolutions, ...poolings, ...fusedParts, GatherV2 };

/**
 * Puts these forms in place of tfjs-node's, and makes every refusal that remains one sentence with the kernel's name. Call it once, after
 * the backend's registration.
 */
export function mendKernels(backend: TensorflowBackend): void {
  backend.numDataIds = () => 0; // tfjs-node's kernels make tensors of their own, which TensorFlow.js would take for a leak
  const own = new Map(tf.getKernelsForBackend(BACKEND).map(({ kernelName, kernelFunc }) => [kernelName, kernelFunc]));
  for (const kernelName of new Set([...own.keys(), ...Object.keys(mends)])) {
    const kernel = own.get(kernelName);
    if (kernel) tf.unregisterKernel(kernelName, BACKEND);
    tf.registerKernel({
      kernelName,
      backendName: BACKEND,
      kernelFunc: (call) => {
        const inputs = call.inputs as unknown as Record<string, Tensor>;
        try {
          const mended = mends[kernelName] && tf.tidy(() => mends[kernelName]?.(inputs, call.attrs as unknown as Attributes) as Tensor);
          return mended ?? (kernel as NonNullable<typeof kernel>)(call);
        } catch (error) {
          throw refusedBy(kernelName, inputs, error as Error);
        }
      },
    });
  }
}

/** What TensorFlow refuses, in a sentence. */
function refusedBy(kernel: string, inputs: Record<string, Tensor>, error: Error): Error {
  if (error.message.startsWith("Cannot ")) return error; // of a kernel within
  const shapes = Object.entries(inputs).flatMap(([name, given]) => (given ? [`${name} [${given.shape}]`] : []));
  const why = error.message
    .replace(/^Invalid TF_Status: \d+\s+Message: /, "")
    .split("\n")[0]
    ?.replace(/\.$/, "");
  const what = `Cannot run kernel "${kernel}" of ${shapes.join(", ")} on device "tensorflow"`;
  return new Error(`${what}: ${why}; use device "cpu", or write it with other operations.`, { cause: error });
}
