/**
 * Golden vectors of a published pipeline, golden.json beside golden.safetensors: what the published library answered
 * (docs/PARITY.md). Everything of them that is known here is computed again and compared.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as z from "zod";
import { createEngine, type EngineOptions } from "../../engine/engine.ts";
import { classOf, readPartConfig } from "../../models/published/folder.ts";
import { publishedClasses } from "../../models/published/registry.ts";
import { readSafetensors, type Safetensors } from "../../models/weights/safetensors.ts";
import { badUsage, Failure } from "../../schemas/failure.ts";
import { parsedJson } from "../../schemas/json.ts";
import { absent } from "../../schemas/system-error.ts";
import { forwardOf } from "./forward.ts";
import { type PublishedPart, readPart } from "./part.ts";

const names = z.record(z.string(), z.string());

const goldenSchema = z.looseObject({
  forwards: z.array(z.looseObject({ name: z.string(), inputs: names, outputs: names })).default([]),
});
export type Golden = z.infer<typeof goldenSchema>;

/** One thing that was computed again. */
export interface Parity {
  what: string;
  /** Largest difference, as a share of the largest element. */
  difference: number;
  tolerance: number;
}

/** Shares of the largest element that may differ: of a forward, an autoencoder's, and one on a GPU, which adds up in another order. */
const TOLERANCE = { forward: 1e-4, image: 1e-3, gpu: 1e-3 } as const;

/**
 * The part of golden.json beside `path` that a schema reads. Throws a usage failure where there is no such file, and a Failure where
 * it says something else.
 */
export async function readAbout<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  const file = join(dirname(path), "golden.json");
  const text = await readFile(file, "utf8").catch(absent);
  if (text === undefined) throw badUsage(`Cannot compare with ${path}: there is no ${file}; docs/PARITY.md says how both are made`);
  const { data, error } = schema.safeParse(parsedJson(text));
  if (data !== undefined) return data;
  throw new Failure(`Cannot read ${file}: ${z.prettifyError(error!)}. docs/PARITY.md says what it holds; make it anew.`);
}

/** Reads golden.safetensors at `path`, with golden.json beside it; see {@link readAbout}. */
export async function readGolden(path: string): Promise<{ golden: Golden; tensors: Safetensors["tensors"] }> {
  const golden = await readAbout(path, goldenSchema);
  if (!existsSync(path)) throw badUsage(`Cannot compare with ${path}: there is no such file; docs/PARITY.md says how it is made`);
  return { golden, tensors: (await readSafetensors(path)).tensors };
}

/**
 * Computes every forward of the golden vectors again that a part of the folder is known for, one after the other. `only` chooses by
 * name, `device` where they are computed: the CPU unless told.
 */
export async function* forwardParity(options: {
  folder: string;
  path: string;
  only?: (name: string) => boolean;
  device?: EngineOptions["device"];
}): AsyncGenerator<Parity> {
  const { folder, path, only = () => true, device = "cpu" } = options;
  const { golden, tensors } = await readGolden(path);
  const parts = new Map<string, PublishedPart & { read: Set<string>; asked: Set<string> }>();
  const engine = await createEngine({ device, threads: 1 });
  for (const { name, inputs, outputs } of golden.forwards) {
    const asked = partOf(folder, name);
    if (asked === undefined || !only(name) || !(await isUnderstood(join(folder, asked.part)))) continue;
    const { part, call } = asked;
    const at = join(folder, part);
    const opened = parts.get(part) ?? { ...(await readPart(at)), read: new Set(), asked: new Set() };
    parts.set(part, opened);
    const given = Object.entries(inputs).map(([input, tensor]) => {
      const { shape, data, dtype } = tensorOf(tensors, tensor, path);
      return [input, { shape, data, isWhole: /^[IU]\d+$/.test(dtype) }] as const;
    });
    const { outputs: found, read } = await forwardOf({ engine, part: opened, folder: at, call, inputs: Object.fromEntries(given) });
    for (const parameter of read) opened.read.add(parameter);
    opened.asked.add(call);
    for (const [output, tensor] of Object.entries(outputs)) {
      const expected = tensorOf(tensors, tensor, path);
      const own = found[output];
      if (!own || String(own.shape) !== String(expected.shape)) {
        const shape = own ? `shape [${own.shape.join(", ")}] instead of [${expected.shape.join(", ")}]` : "nothing";
        throw new Failure(
          `Cannot compare ${name} of ${folder}: its "${output}" has ${shape}. Make the golden vectors of this very folder.`,
        );
      }
      const kind = name.startsWith("vae") ? "image" : device === "cpu" ? "forward" : "gpu";
      yield { what: `${name} ${output}`, difference: differenceOf(own.data, expected.data), tolerance: TOLERANCE[kind] };
    }
  }
  for (const [part, opened] of parts) checkAllRead(join(folder, part), opened);
}

/** Throws a Failure that names a parameter which the file has and nobody reads, once the network has been asked all that it can be. */
function checkAllRead(folder: string, { network, weights, read, asked }: PublishedPart & { read: Set<string>; asked: Set<string> }): void {
  if (!network.calls.every((call) => asked.has(call))) return;
  const [first, ...more] = Object.keys(weights).filter((name) => !read.has(name));
  if (first === undefined) return;
  const others = more.length > 0 ? ` and ${more.length} more` : "";
  throw new Failure(
    `Cannot use ${folder}: nobody reads its parameter "${first}"${others}. It is another kind of network than its config says.`,
  );
}

/** The part that a forward is of and what it asks of it: the folder whose name it begins with, else the whole folder by its full name. */
function partOf(folder: string, name: string): { part: string; call: string } | undefined {
  const [first = "", call = ""] = name.split(".");
  const isPart = (candidate: string) => existsSync(join(folder, candidate, "config.json"));
  const part = [first, first.replace(/_[a-z]+$/, "")].find(isPart);
  if (part !== undefined) return { part, call };
  return isPart("") ? { part: "", call: name } : undefined;
}

/** Whether the part is of a class that is known here; whoever reads it hears what else is wrong. */
async function isUnderstood(folder: string): Promise<boolean> {
  return publishedClasses.includes(classOf((await readPartConfig(folder)).json));
}

/** The tensor of that name. Throws a Failure where golden.json speaks of one that is not there. */
export function tensorOf(tensors: Safetensors["tensors"], name: string, path: string): Safetensors["tensors"][string] {
  const tensor = tensors[name];
  if (!tensor) throw new Failure(`Cannot read ${path}: it has no tensor "${name}", which its golden.json speaks of. Make both anew.`);
  return tensor;
}

/** The largest difference over the largest element; infinite where an element is not finite. */
export function differenceOf(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [largest, difference] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    largest = Math.max(largest, Math.abs(expected[i] as number));
    const apart = Math.abs((found[i] as number) - (expected[i] as number));
    difference = Number.isFinite(apart) ? Math.max(difference, apart) : Number.POSITIVE_INFINITY;
  }
  return difference / (largest || 1);
}
