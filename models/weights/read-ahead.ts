/** Tensors of files read one after the other, the next of them meanwhile: a few at a time, or of large files by several threads. */
import { availableParallelism } from "node:os";
import { type Compute, startCompute } from "../../engine/compute.ts";
import { elements, type Weights } from "../../engine/weights.ts";
import type { ReadingApi } from "./reader.ts";
import type { ReadOptions, StoredTensor } from "./stored.ts";

/** What is asked for: its name, the tensor, and how it shall be read. */
export type Asked = readonly [name: string, tensor: StoredTensor, options?: Pick<ReadOptions, "order" | "isChecked">];

/** Reads that have begun while the tensor before them is made use of. */
const AHEAD = 3;

/** Bytes of float32 that a thread shall have to make: it takes a quarter of a second to start, and makes some 2 GB a second. */
const SHARE = 2 ** 30;

/** Threads that read, this one among them: more than these wait for the disk and for memory. */
const THREADS = 4;

/** How many threads read tensors. */
function threadsFor(asked: readonly Asked[]): number {
  const bytes = asked.reduce((sum, [, { shape }]) => sum + 4 * elements(shape), 0);
  return Math.max(1, Math.min(THREADS, availableParallelism(), Math.ceil(bytes / SHARE)));
}

/**
 * The elements of tensors as float32, in the order in which they are asked for. Throws as their `read` does. Several threads do not
 * wait for one another, so that all elements may be in memory before the first are taken.
 */
export function readAhead(asked: readonly Asked[], threads = threadsFor(asked)): AsyncGenerator<[name: string, tensor: Weights[string]]> {
  return threads < 2 ? readHere(asked) : readByThreads(asked, threads);
}

async function* readHere(asked: readonly Asked[]): AsyncGenerator<[string, Weights[string]]> {
  const begun: Promise<Float32Array>[] = [];
  for (const [i, each] of asked.entries()) {
    for (const [, tensor, options] of asked.slice(begun.length, i + AHEAD + 1)) begun.push(handled(tensor.read(options)));
    yield [each[0], await made(each, begun[i])];
    delete begun[i]; // the elements are whoever took them's
  }
}

async function made([, { shape }, { order } = {}]: Asked, data: Promise<Float32Array> | undefined): Promise<Weights[string]> {
  return { shape: order ? order.map((side) => shape[side] as number) : shape, data: await (data as Promise<Float32Array>) };
}

/** This thread and others take the next tensor that nobody has begun, two at a time: what the one waits for is read meanwhile. */
async function* readByThreads(asked: readonly Asked[], count: number): AsyncGenerator<[string, Weights[string]]> {
  const answers = asked.map(() => answer());
  let next = 0;
  const take = async (read: (asked: Asked) => Promise<Float32Array>): Promise<void> => {
    for (let i = next++; i < asked.length; i = next++) {
      const data = handled(read(asked[i] as Asked));
      answers[i]?.resolve(data);
      await data.catch(() => {}); // thrown where it is asked for
    }
  };
  const inTurns = (read: (asked: Asked) => Promise<Float32Array>): Promise<unknown> => Promise.all([take(read), take(read)]);
  const readThere = async (): Promise<void> => {
    const module = new URL("./reader.ts", import.meta.url);
    const reader: Compute<ReadingApi> = await startCompute({ name: "reader of weights", module, options: {} });
    await inTurns(([, { stored }, options]) => reader.call("read", { stored, ...options })).finally(() => reader.close());
  };
  const readers = [inTurns(([, tensor, options]) => tensor.read(options)), ...Array.from({ length: count - 1 }, readThere)];
  const all = handled(Promise.all(readers));
  try {
    for (const [i, each] of asked.entries()) {
      yield [each[0], await made(each, answers[i]?.data)];
      delete answers[i]; // the elements are whoever took them's
    }
  } finally {
    next = asked.length;
    await all;
  }
}

/** Elements that are yet to come. */
function answer(): { data: Promise<Float32Array>; resolve: (data: Promise<Float32Array>) => void } {
  let resolve: (data: Promise<Float32Array>) => void = () => {};
  const data = handled(new Promise<Float32Array>((settle) => (resolve = settle)));
  return { data, resolve };
}

/** A promise whose failure is thrown when its turn comes, if it does. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
