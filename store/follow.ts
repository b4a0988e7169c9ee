import { existsSync, type FSWatcher, watch } from "node:fs";
import { dirname, join } from "node:path";
import { shardPath, type Store } from "./layout.ts";

/**
 * Resolves once a shard is there. File system events wake it, and a look every `poll` milliseconds where there are none
 * (network file systems, a folder not made yet). `onWait` is called first when it is not there. Rejects with the
 * signal's reason when aborted.
 *
 * @example
 * import { waitForShard } from "onestep/store/follow";
 * await waitForShard(latents, 0, { onWait: () => assert.fail("it is there already") });
 */
export async function waitForShard(
  store: Store,
  shard: number,
  options: { signal?: AbortSignal; poll?: number; onWait?: (shard: number) => void } = {},
): Promise<void> {
  const path = shardPath(store, shard);
  options.signal?.throwIfAborted();
  if (existsSync(path)) return;
  options.onWait?.(shard);
  await waitForFile(path, options);
}

/**
 * Resolves once a store has been created in the folder: its store.json is there.
 *
 * @example
 * import { waitForStore } from "onestep/store/follow";
 * import { createLatentStore } from "onestep/store/latents";
 * const waiting = waitForStore(folder);
 * await createLatentStore({ folder, manifest: latents.manifest });
 * await waiting;
 */
export async function waitForStore(folder: string, options: { signal?: AbortSignal } = {}): Promise<void> {
  await waitForFile(join(folder, "store.json"), options);
}

async function waitForFile(path: string, { signal, poll = 500 }: { signal?: AbortSignal; poll?: number }): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    let watcher: FSWatcher | undefined;
    const finish = (settle: () => void) => {
      clearInterval(timer);
      watcher?.close();
      signal?.removeEventListener("abort", abort);
      settle();
    };
    const look = () => existsSync(path) && finish(resolve);
    const abort = () => finish(() => reject(signal?.reason));
    const timer = setInterval(look, poll);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      watcher = watch(dirname(path), look).on("error", () => watcher?.close());
    } catch {
      // The poll alone will do.
    }
    look(); // it may have come before the watcher
  });
}
