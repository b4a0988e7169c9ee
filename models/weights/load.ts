/** Weights read whole from safetensors files, once they are known to be what was asked for: these tensors, all of them finite. */
import type { Shapes, Weights } from "../../engine/weights.ts";
import { Failure } from "../../schemas/failure.ts";
import type { Dtype } from "./dtypes.ts";
import { firstNotFinite } from "./finite.ts";
import { type OpenSafetensors, openSafetensors } from "./open.ts";
import { readOpened } from "./safetensors.ts";
import type { StoredTensor } from "./stored.ts";

/** In words, what of the tensors of a file is not as it must be: none where all fits. */
export type Differences = (found: Shapes) => string[] | Promise<string[]>;

/** Elements that weights may have: whole numbers and truth values are no weights, and float64 would be rounded without a word. */
const FLOATING: ReadonlySet<Dtype> = new Set<Dtype>(["F32", "F16", "BF16"]);

/** Problems that a sentence lists; the others are counted. */
const LISTED = 3;

/**
 * Reads weights of a safetensors file, or of a checkpoint in several files by its index, as float32. `differences` says what
 * of names and shapes is wrong; that is asked before any tensor is read. `onBytes` sees all bytes of the file. Throws a
 * Failure when the file is missing, torn or malformed, when tensors are missing, left over or of another shape or type, and
 * when an element is not finite.
 */
export async function loadWeights(
  path: string,
  options: { differences?: Differences; onBytes?: (piece: Uint8Array) => void } = {},
): Promise<{ weights: Weights; metadata: Record<string, string> }> {
  const { differences = () => [], onBytes } = options;
  const opened = await openWeights(path);
  const problems = [...(await differences(opened.tensors)), ...typeProblems(opened.tensors)];
  if (problems.length > 0) {
    throw new Failure(
      `Cannot use ${path}: of its ${Object.keys(opened.tensors).length} tensors not all are the network's: ` +
        `${listed(problems)}. Put the file back that belongs here, or make the folder anew.`,
    );
  }
  const { tensors, metadata } = await readOpened(opened, onBytes).catch((error) => refuse(path, error));
  const weights = Object.fromEntries(Object.entries(tensors).map(([name, { shape, data }]) => [name, { shape, data }]));
  const wrong = notFinite(weights);
  if (wrong !== undefined) {
    throw new Failure(`Cannot use ${path}: ${wrong}. Train it again with a lower learning rate, or put a sound file in its place.`);
  }
  return { weights, metadata };
}

/**
 * Opens weights without reading them (see openSafetensors): frozen weights for `engine.constants`, of any size. `path` may be
 * that of an index of several files. Throws a Failure when a file is missing, torn or malformed.
 */
export async function openWeights(path: string): Promise<OpenSafetensors> {
  return openSafetensors(path).catch((error) => refuse(path, error));
}

/** The first problems, and how many there are besides. */
export function listed(problems: readonly string[]): string {
  const more = problems.length > LISTED ? ` and ${problems.length - LISTED} more` : "";
  return `${problems.slice(0, LISTED).join(", ")}${more}`;
}

/** The first element that is not finite, in words; undefined where all are. */
export function notFinite(weights: Weights): string | undefined {
  for (const [name, { data }] of Object.entries(weights)) {
    const at = firstNotFinite(data);
    if (at >= 0) return `element ${at} of tensor "${name}" is not finite (${data[at]})`;
  }
  return undefined;
}

function typeProblems(tensors: Record<string, StoredTensor>): string[] {
  return Object.entries(tensors).flatMap(([name, { dtype }]) =>
    FLOATING.has(dtype) ? [] : [`"${name}" has elements of type ${dtype} instead of ${[...FLOATING].join(", ")}`],
  );
}

/** What the system itself says of a file goes on as it is; what is wrong with its content becomes a sentence. */
function refuse(path: string, error: NodeJS.ErrnoException): never {
  if (error.errno !== undefined && error.code !== "ENOENT") throw error;
  const reason = error.code === "ENOENT" ? "there is no such file" : error.message;
  throw new Failure(`Cannot load weights from ${path}: ${reason}. Check the path, or fetch the file again.`, { cause: error });
}
