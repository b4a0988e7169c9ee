/** What a compute worker's own failures say: which worker, during what, and why. */
import { type Call, START } from "./calls.ts";

/** A failure of the worker as such, where an error of a method arrives as the method threw it. */
export interface ComputeError extends Error {
  name: "ComputeError";
  /** `memory`: it ran out of memory. `ended`: it crashed, left, or could not be loaded. */
  kind: "memory" | "ended";
}

/**
 * The failures of the worker of this name, which was started from that file. `call` is the one under way.
 *
 * @example
 * import { computeErrors } from "./compute-errors.ts";
 * const { left } = computeErrors({ name: "sampler", file: "sampler.ts" });
 * assert.equal(left(undefined, 1).message, 'Compute worker "sampler" ended with code 1 between calls');
 */
export function computeErrors({ name, file }: { name: string; file: string }) {
  const made = (kind: ComputeError["kind"], message: string, cause?: unknown): ComputeError =>
    Object.assign(new Error(message, { cause }), { name: "ComputeError" as const, kind });
  return {
    outOfMemory: (call: Call | undefined, cause: Error) => {
      const size = /requested buffer of size (\d+)/.exec(cause.message)?.[1];
      const detail = size ? `, asking for ${size} bytes` : "";
      return made("memory", `Compute worker "${name}" ran out of memory ${when(call)}${detail}`, cause);
    },
    notStarted: (cause: Error) => made("ended", `Cannot start compute worker "${name}" from ${file}: ${cause.message}`, cause),
    crashed: (call: Call | undefined, cause: Error) =>
      made("ended", `Compute worker "${name}" crashed ${when(call)}: ${cause.message}`, cause),
    notTaken: (cause: Error) => made("ended", `Cannot take an answer of compute worker "${name}": ${cause.message}`, cause),
    left: (call: Call | undefined, code: number) => made("ended", `Compute worker "${name}" ended with code ${code} ${when(call)}`),
    closed: () => new Error(`Compute worker "${name}" was closed`),
  };
}

function when(call?: Call): string {
  if (!call) return "between calls";
  return call.method === START ? "on starting" : `during "${call.method}"`;
}

/**
 * Whether an error says that memory ran out: V8's heap, an ArrayBuffer, or an allocation of ONNX Runtime on any device.
 *
 * @example
 * import { isMemoryError } from "./compute-errors.ts";
 * assert.ok(isMemoryError(new Error("Array buffer allocation failed")));
 */
export function isMemoryError({ code, message }: NodeJS.ErrnoException): boolean {
  return (
    code === "ERR_WORKER_OUT_OF_MEMORY" || /failed to allocate memory|bad_alloc|out of memory|array buffer allocation failed/i.test(message)
  );
}
