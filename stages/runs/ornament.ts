/** What only adorns a run (pages, charts, pictures, TensorBoard's events): where it cannot be made, the run goes on without it. */
import type { Context } from "../../schemas/events.ts";
import { systemError } from "../../schemas/system-error.ts";

/** Makes an ornament; undefined where that failed, which is said once of each. */
export type Adorn = <T>(what: string, make: () => Promise<T>) => Promise<T | undefined>;

/** How a stage makes its ornaments. An interrupted run is no failure of an ornament: its reason rises. */
export function ornaments(stage: string, { signal, report }: Context): Adorn {
  const said = new Set<string>();
  return async (what, make) => {
    try {
      return await make();
    } catch (error) {
      signal.throwIfAborted();
      if (!said.has(what)) report({ type: "warning", stage, message: `goes on without ${what}: ${reasonOf(error)}` });
      said.add(what);
      return undefined;
    }
  };
}

function reasonOf(error: unknown): string {
  return systemError(error)?.message ?? (error instanceof Error ? error.message : String(error));
}
