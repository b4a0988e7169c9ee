/** Tensors of files read one after the other, the next of them meanwhile: a few at a time, or of large files by several threads. */
import { availableParallelism } from "node:os";
import { type Compute, startCompute } from "../../engine/compute.ts";
import type { Weights } from "../../engine/weights.ts";
import type { ReadingApi } from "./reader.ts";
import type { Room } from "./room.ts";
import type { ReadOptions, StoredTensor } from "./stored.ts";

/** What is asked for: its name, the tensor, and how it shall be read. */
export type Asked = readonly [name: string, tensor: StoredTensor, options?: Pick<ReadOptions, "order" | "isChecked">];

/** Reads that have begun while the tensor before them is made use of. */
const AHEAD = 3;

/** Bytes of files below which no thread is started for them: it takes longer than they do. */
const FEW = 2 ** 48;

/** Threads that read: more than these wait for the disk and for memory. */
const READERS = 4;

/** How many threads read tensors: one, this one, where they are few bytes. */
function threadsFor(asked: readonly Asked[]): number {
  const bytes = asked.reduce((sum, [, { byteLength }]) => sum + byteLength, 0);
  return bytes < FEW ? 1 : Math.min(READERS, availableParallelism());
}

/**
 * The elements of tensors as float32, in the order in which they are asked for. Throws as their `read` does. Several threads do not
 * wait for one another, so that all elements may be in memory before the first are taken.
 */
export function readAhead(asked: readonly Asked[], threads = threadsFor(asked)): AsyncGenerator<[name: string, tensor: Weights[string]]> {
  return threads < 2 ? readHere(asked) : readByThreads(asked, threads);
}

async function* readHere(asked: readonly Asked[]): AsyncGenerator<[string, Weights[string]]> {
  const rooms: Room[] = [];
  const begun: Promise<Float32Array>[] = [];
  for (const [i, each] of asked.entries()) {
    for (const [, tensor, options] of asked.slice(begun.length, i + AHEAD + 1)) begun.push(handled(tensor.read({ ...options, rooms })));
    yield [each[0], await made(each, begun[i])];
    delete begun[i]; // the elements are whoever took them's
  }
}

async function made([, { shape }, { order } = {}]: Asked, data: Promise<Float32Array> | undefined): Promise<Weights[string]> {
  return { shape: order ? order.map((side) => shape[side] as number) : shape, data: await (data as Promise<Float32Array>) };
}

async function* readByThreads(asked: readonly Asked[], count: number): AsyncGenerator<[string, Weights[string]]> {
  const module = new URL("./reader.ts", import.meta.url);
  const start = (): Promise<Compute<ReadingApi>> => startCompute({ name: "reader of weights", module, options: {} });
  const readers = await Promise.all(Array.from({ length: count }, start));
  try {
    const given = readers.map(() => 0);
    const begun = asked.map(([, { stored }, options]) => {
      const least = given.indexOf(Math.min(...given)); // so that all end at about the same time
      (given[least] as number) += stored.range.byteLength;
      return handled((readers[least] as Compute<ReadingApi>).call("read", { stored, ...options }));
    });
    for (const [i, each] of asked.entries()) yield [each[0], await made(each, begun[i])];
  } finally {
    await Promise.all(readers.map((reader) => reader.close()));
  }
}

/** A promise whose failure is thrown when its turn comes, if it does. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
