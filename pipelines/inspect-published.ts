/**
 * pipeline inspect PATH [--parity GOLDEN.safetensors]
 *
 * of a pipeline that diffusers wrote, or of Stable Diffusion in one file: parts | what of each is understood
 * golden vectors | computed again | the largest differences
 */
import type { Context } from "../schemas/events.ts";
import { Failure } from "../schemas/failure.ts";
import type { EngineSettings } from "../schemas/settings.ts";
import { describePublished } from "../stages/published/describe.ts";
import { forwardParity, type Parity } from "../stages/published/golden.ts";
import { scheduleParity } from "../stages/published/schedules.ts";
import { tokenParity } from "../stages/published/tokens.ts";
import { trajectoryParity } from "../stages/published/trajectories.ts";
import { deviceOf } from "../stages/workers/device.ts";

/** Tells what a published pipeline's parts are, and which are understood. */
export async function inspectPublished({ folder, context }: { folder: string; context: Context }): Promise<void> {
  const { pipeline, parts } = await describePublished(folder);
  context.report({ type: "result", stage: folder, values: { pipeline, parts: parts.length } });
  context.report({ type: "table", stage: "parts", rows: parts });
}

/**
 * Computes again what golden vectors say that the published library answered, and prints the largest difference of each: on another
 * device than the CPU of the evaluations alone. Throws a Failure where one is above its tolerance, and where nothing of the file is
 * known here.
 */
export async function checkParity(options: {
  folder: string;
  golden: string;
  engine?: EngineSettings;
  context: Context;
}): Promise<Parity[]> {
  const { folder, golden: path, engine, context } = options;
  const device = engine && deviceOf(engine).device;
  const isElsewhere = device !== undefined && device !== "cpu";
  const found: Parity[] = [];
  for (const parities of isElsewhere ? [forwardParity] : [tokenParity, scheduleParity, forwardParity, trajectoryParity]) {
    for await (const parity of parities({ folder, path, ...(device && { device }) })) {
      context.signal.throwIfAborted();
      context.report({ type: "progress", stage: "parity", done: found.push(parity), unit: "results" });
    }
  }
  if (found.length === 0)
    throw new Failure(`Cannot compare ${folder} with ${path}: none of its vectors is of a part that is understood here.`);
  const rows = found.map(({ what, difference, tolerance }) => ({
    result: what,
    difference: Number(difference.toPrecision(2)),
    tolerance,
    agrees: difference <= tolerance ? "yes" : "no",
  }));
  context.report({ type: "table", stage: "parity", rows, about: "largest difference as a share of the largest element" });
  const apart = found.filter(({ difference, tolerance }) => !(difference <= tolerance));
  if (apart.length > 0) {
    const others = apart.length > 1 ? `, and ${apart.length - 1} more` : "";
    const [worst] = apart.sort((a, b) => b.difference - a.difference);
    const difference = worst!.difference.toPrecision(2);
    throw new Failure(`Cannot trust ${folder} here: ${worst!.what} differs by ${difference}${others}. Report it with both files.`);
  }
  return found;
}
