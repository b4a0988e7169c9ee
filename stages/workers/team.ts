/** Several trainers that take each step together, as one: every one has the whole state, and a share of each batch's micro-batches. */
import type { Compute } from "../../engine/compute.ts";
import type { Weights } from "../../engine/weights.ts";
import { stopMeeting } from "../../models/training/shared-sum.ts";
import type { TrainerApi } from "./trainer.ts";

/** Methods that change a trainer: every one has to. The others are asked of the first. */
const OF_ALL: ReadonlySet<keyof TrainerApi> = new Set(["step", "load"]);

/**
 * Starts so many trainers, the first of which speaks for all: they have the same state. When one fails the others stop waiting
 * for it, and its error is the one that is thrown.
 */
export async function startTeam(options: {
  workers: number;
  start: (worker: number) => Promise<Compute<TrainerApi>>;
  signal: AbortSignal;
}): Promise<Compute<TrainerApi>> {
  const { workers, start, signal } = options;
  const starting = Array.from({ length: workers }, (_, worker) => start(worker));
  const end = async (): Promise<void> => {
    for (const started of await Promise.allSettled(starting)) if (started.status === "fulfilled") await started.value.close();
  };
  try {
    const members = await Promise.all(starting);
    const [first] = members as [Compute<TrainerApi>];
    const meeting = await first.call("meeting", undefined);
    const stop = (): void => stopMeeting(meeting);
    await Promise.all(members.map((member) => member.call("join", meeting)));
    signal.addEventListener("abort", stop, { once: true });
    return {
      call: async (method, argument, options): Promise<never> => {
        if (!OF_ALL.has(method)) return first.call(method, argument, options) as Promise<never>;
        const given = method === "load" ? shared(argument) : argument; // it is large, and only read
        try {
          const [answer] = await Promise.all(members.map((member) => member.call(method, given)));
          return answer as never;
        } catch (error) {
          stop();
          throw error;
        }
      },
      close: async () => {
        signal.removeEventListener("abort", stop);
        stop();
        await end();
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Sets of weights in shared memory: all may read them, and none has a copy. */
function shared(sets: unknown): never {
  const inShared = ({ shape, data }: Weights[string]): Weights[string] => {
    const copy = new Float32Array(new SharedArrayBuffer(data.byteLength));
    copy.set(data);
    return { shape, data: copy as unknown as Float32Array<ArrayBuffer> };
  };
  const each = <A, B>(values: Record<string, A>, of: (value: A) => B): Record<string, B> =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, of(value)]));
  return each(sets as Record<string, Weights>, (weights) => each(weights, inShared)) as never;
}
