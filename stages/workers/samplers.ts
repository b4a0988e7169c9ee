/** Samplers of one network that work side by side, each with a device or threads of its own. */
import type { Compute } from "../../engine/compute.ts";
import { onCard } from "./device.ts";
import type { Sampler } from "./sampler.ts";
import { startAll } from "./start.ts";
import { startSampler } from "./start-sampler.ts";
import { threadsOfEach, withThreads } from "./threads.ts";

/** Starts so many as one: each call goes to one that has none, so that many calls at once are as many at work. */
export async function startSamplers(options: Parameters<typeof startSampler>[0] & { workers: number }): Promise<Compute<Sampler>> {
  const { workers, engine, name = "teacher sampler", ...rest } = options;
  if (workers === 1) return startSampler({ ...rest, name, engine });
  const threads = threadsOfEach(engine.threads, workers);
  const members = await startAll<Sampler>(workers, (worker) =>
    startSampler({ ...rest, name: `${name} ${worker + 1} of ${workers}`, engine: onCard(withThreads(engine, threads), worker) }),
  );
  const idle = [...members];
  return {
    call: async (...call): Promise<never> => {
      const member = idle.pop();
      if (!member) return (members[0] as Compute<Sampler>).call(...call) as Promise<never>;
      try {
        return (await member.call(...call)) as never;
      } finally {
        idle.push(member);
      }
    },
    close: async () => {
      for (const member of members) await member.close();
    },
  };
}
