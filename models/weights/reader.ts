/** A compute module that reads tensors of files: see read-ahead.ts. */
import { type ReadOptions, type Stored, storedTensor } from "./stored.ts";

export type ReadingApi = { read: (options: { stored: Stored } & Pick<ReadOptions, "order" | "isChecked">) => Promise<Float32Array> };

/** The worker's methods; see engine/compute.ts. It reads one tensor at a time. */
export const create = async (): Promise<ReadingApi> => ({ read: ({ stored, ...options }) => storedTensor(stored).read(options) });
