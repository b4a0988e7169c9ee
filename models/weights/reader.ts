/** A compute module that reads tensors of files: see read-ahead.ts. */
import type { Room } from "./room.ts";
import { type ReadOptions, type Stored, storedTensor } from "./stored.ts";

export type ReadingApi = { read: (options: { stored: Stored } & Pick<ReadOptions, "order" | "isChecked">) => Promise<Float32Array> };

export async function create(): Promise<ReadingApi> {
  const rooms: Room[] = [];
  return { read: ({ stored, ...options }) => storedTensor(stored).read({ ...options, rooms }) };
}
