/** Compute workers as pipelines start them: one that runs out of memory ends the command with a sentence and a remedy. */
import { type Compute, type ComputeError, type ComputeOptions, type Methods, startCompute } from "../../engine/compute.ts";
import { Failure } from "../../schemas/failure.ts";

/** How an engine's error begins whose device is not there: it says what to install. */
const ABSENT = /^Cannot use device "/;

/**
 * Starts a compute module like `startCompute`. `remedy` says what to do when its memory does not suffice, as in
 * "lower simulate.batch": that is then a Failure which names the worker. So is a device that is not there.
 */
export async function startWorker<Api extends Methods>(options: ComputeOptions & { remedy: string }): Promise<Compute<Api>> {
  const { remedy, ...rest } = options;
  const explained = async <T>(promise: Promise<T>): Promise<T> => {
    try {
      return await promise;
    } catch (error) {
      const { message } = Object(error) as Error;
      if (ABSENT.test(message)) throw new Failure(message, { cause: error });
      if ((error as ComputeError | undefined)?.name !== "ComputeError" || (error as ComputeError).kind !== "memory") throw error;
      throw new Failure(`${(error as ComputeError).message}; ${remedy}, or end other programs`, { cause: error });
    }
  };
  const compute = await explained(startCompute<Api>(rest));
  return { call: (...call) => explained(compute.call(...call)), close: compute.close };
}

/** Starts so many workers that belong together: where one cannot start, the others are closed and its error is thrown. */
export async function startAll<Api extends Methods>(
  workers: number,
  start: (worker: number) => Promise<Compute<Api>>,
): Promise<Compute<Api>[]> {
  const starting = Array.from({ length: workers }, (_, worker) => start(worker));
  try {
    return await Promise.all(starting);
  } catch (error) {
    for (const started of await Promise.allSettled(starting)) if (started.status === "fulfilled") await started.value.close();
    throw error;
  }
}
