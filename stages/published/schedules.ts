/** Schedules of published pipelines: read from their folders, and held to the golden vectors. */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as z from "zod";
import { publishedSchedule, scheduleJson } from "../../models/diffusion/published-schedule.ts";
import { isSingleFile, openSingleFile } from "../../models/published/single-file.ts";
import { Failure } from "../../schemas/failure.ts";
import { absent } from "../../schemas/system-error.ts";
import { type Parity, readAbout, readGolden } from "./golden.ts";

/**
 * The scheduler_config.json of a pipeline's folder, or the one that Stable Diffusion in one file was published with. Throws a Failure
 * where it is absent or no object, and where nobody can tell.
 */
export async function readScheduleJson(folder: string): Promise<object> {
  if (isSingleFile(folder)) return (await openSingleFile(folder)).schedule();
  const file = join(folder, "scheduler", "scheduler_config.json");
  const text = await readFile(file, "utf8").catch(absent);
  if (text !== undefined) return scheduleJson({ text, file });
  throw new Failure(`Cannot read ${file}: there is none. Name a folder that a library's save_pretrained wrote.`);
}

const goldenSchedules = z.looseObject({
  schedules: z
    .array(
      z.looseObject({
        class: z.string(),
        config: z.looseObject({}),
        steps: z.int(),
        given: z.looseObject({ mu: z.number().optional(), sigmas: z.array(z.number()).optional() }).optional(),
        timesteps: z.array(z.number()),
        sigmas: z.array(z.number()).optional(),
        init_noise_sigma: z.number(),
        alphas_cumprod: z.string().optional(),
      }),
    )
    .default([]),
});

/** Of times and levels a share of each number itself, not of the largest; whole times must be equal. */
const TOLERANCE = 1e-6;

/**
 * Lays out every schedule of the golden vectors again, one after the other. The first of them is the folder's own: it is read from
 * there.
 */
export async function* scheduleParity({ folder, path }: { folder: string; path: string }): AsyncGenerator<Parity> {
  const { tensors } = await readGolden(path);
  const file = join(dirname(path), "golden.json");
  const { schedules: entries } = await readAbout(path, goldenSchedules);
  const [first] = entries;
  for (const entry of entries) {
    const { class: name, config, steps, given, timesteps, sigmas, alphas_cumprod: products } = entry;
    const isOwn = name === first?.class && JSON.stringify(config) === JSON.stringify(first.config);
    const schedule = publishedSchedule({ json: isOwn ? await readScheduleJson(folder) : { _class_name: name, ...config }, file });
    const found = schedule.visits(steps, {
      ...(given?.mu !== undefined && { mu: given.mu }),
      ...(given?.sigmas && { sigmas: given.sigmas }),
    });
    const what = `${name} of ${steps} ${steps === 1 ? "step" : "steps"}`;
    const areWhole = timesteps.every(Number.isInteger);
    yield { what: `${what}, times`, difference: relative(found.timesteps, timesteps), tolerance: areWhole ? 0 : TOLERANCE };
    if (sigmas) yield { what: `${what}, sigmas`, difference: relative(found.sigmas, sigmas), tolerance: TOLERANCE };
    const start = relative([found.initNoiseSigma], [entry.init_noise_sigma]);
    yield { what: `${what}, initial noise`, difference: start, tolerance: TOLERANCE };
    const expected = products === undefined ? undefined : tensors[products]?.data;
    if (expected) yield { what: `${what}, products`, difference: largest(schedule.products ?? [], expected), tolerance: TOLERANCE };
  }
}

/** The largest difference of two numbers over the expected one; infinite where there are more of one than of the other. */
function relative(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  return largest(
    Array.from(found, (value, i) => (value === expected[i] ? 0 : value / (expected[i] as number) - 1)),
    Array.from(expected, () => 0),
  );
}

/** The largest difference of two numbers; see {@link relative}. */
function largest(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (found.length !== expected.length) return Number.POSITIVE_INFINITY;
  const apart = Array.from(expected, (value, i) => Math.abs((found[i] as number) - value));
  return apart.every(Number.isFinite) ? Math.max(0, ...apart) : Number.POSITIVE_INFINITY;
}
