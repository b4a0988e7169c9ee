/** Several trainers that take each step together, as one: every one has the whole state, and a share of each batch's micro-batches. */
import type { Compute } from "../../engine/compute.ts";
import type { Weights } from "../../engine/weights.ts";
import { stopMeeting } from "../../models/training/shared-sum.ts";
import { startAll } from "./start.ts";
import type { TrainerApi } from "./trainer.ts";

/** Methods that change a trainer: every one has to. The others are asked of the first. */
const OF_ALL: ReadonlySet<keyof TrainerApi> = new Set(["step", "load"]);

/**
 * Starts so many trainers, the first of which speaks for all: they have the same state. When one fails the others stop waiting
 * for it, and its error is the one that is thrown. On devices that do not compute the same bits twice (`isExact` false) the
 * others take the first one's state whenever it is saved, so that a training that goes on from a checkpoint does so as this one.
 */
export async function startTeam(options: {
  workers: number;
  isExact: boolean;
  start: (worker: number) => Promise<Compute<TrainerApi>>;
}): Promise<Compute<TrainerApi>> {
  const { workers, isExact, start } = options;
  const members = await startAll(workers, start);
  const [first, ...others] = members as [Compute<TrainerApi>, ...Compute<TrainerApi>[]];
  let stop = (): void => {};
  const close = async (): Promise<void> => {
    stop();
    for (const member of members) await member.close();
  };
  const all = async (method: keyof TrainerApi, argument: unknown): Promise<never> => {
    const given = method === "load" ? shared(argument as Record<string, Weights>) : argument; // sets are large, and only read
    try {
      const [answer] = await Promise.all(members.map((member) => member.call(method, given as never)));
      return answer as never;
    } catch (error) {
      stop();
      throw error;
    }
  };
  try {
    const meeting = await first.call("meeting", undefined);
    stop = () => stopMeeting(meeting);
    await Promise.all(members.map((member) => member.call("join", meeting)));
  } catch (error) {
    await close();
    throw error;
  }
  return {
    call: async (method, argument, options): Promise<never> => {
      if (OF_ALL.has(method)) return all(method, argument);
      const answer = await first.call(method, argument, options);
      if (method === "save" && !isExact) {
        const sets = shared(answer as Record<string, Weights>);
        await Promise.all(others.map((member) => member.call("load", sets)));
      }
      return answer as never;
    },
    close,
  };
}

/** Sets of weights in shared memory: all may read them, and none has a copy. */
function shared(sets: Record<string, Weights>): Record<string, Weights> {
  const each = <A, B>(values: Record<string, A>, of: (value: A) => B): Record<string, B> =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, of(value)]));
  return each(sets, (weights) =>
    each(weights, ({ shape, data }) => {
      const copy = new Float32Array(new SharedArrayBuffer(data.byteLength));
      copy.set(data);
      return { shape, data: copy as Float32Array as Weights[string]["data"] };
    }),
  );
}
