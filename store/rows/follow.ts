import { existsSync, type FSWatcher, statSync, watch } from "node:fs";
import { dirname } from "node:path";
import { Failure } from "../../schemas/failure.ts";
import { filesAt } from "../places/files.ts";
import { removedPath, shardPath, type Store } from "../records/layout.ts";
import { isUrl, within } from "../places/place.ts";
import { pausedFor } from "../places/pause.ts";
import { missingShard } from "../shards/shard-file.ts";

const gone = Symbol("a store that was removed while it was waited for");

/** Whether an error says that the store which was waited for is gone. */
export function isStoreGone(error: unknown): boolean {
  return error instanceof Failure && error.cause === gone;
}

/**
 * Resolves once a shard is there. File system events wake it, and a look every `poll` milliseconds where there are none
 * (network file systems, a folder not made yet). `onWait` is called first when it is not there. Rejects with the
 * signal's reason when aborted, and with a Failure, which `isStoreGone` knows, when the store's store.json is gone: at two
 * looks, since network file systems may lose sight of a file for a moment.
 *
 * @example
 * import { rm } from "node:fs/promises";
 * import { isStoreGone, waitForShard } from "./follow.ts";
 * await waitForShard(latents, 0, { onWait: () => assert.fail("it is there already") });
 * await rm(latents.folder, { recursive: true });
 * await assert.rejects(waitForShard(latents, 0, { poll: 10 }), isStoreGone);
 */
export async function waitForShard(
  store: Store,
  shard: number,
  options: { signal?: AbortSignal; poll?: number; onWait?: (shard: number) => void } = {},
): Promise<void> {
  const path = shardPath(store, shard);
  options.signal?.throwIfAborted();
  if (await isThere(path)) return;
  const { folder } = store;
  if (await isThere(removedPath(store, shard))) throw await missingShard(store, shard);
  // Of a finished store nothing comes any more; the shard may have come before that end, and after the first look.
  if ((await isThere(within(store.folder, "summary.json"))) && !(await isThere(path))) throw await missingShard(store, shard);
  options.onWait?.(shard);
  const wait = isUrl(folder) ? waitForObject : waitForFile;
  await wait(path, { ...options, anchor: within(folder, "store.json"), awaited: `shard ${shard} of ${folder}` });
}

/**
 * Resolves once a store has been created in the folder: its store.json is there. Rejects with a Failure, which `isStoreGone`
 * knows, when the folder around it was there and is gone.
 *
 * @example
 * import { waitForStore } from "./follow.ts";
 * import { createLatentStore } from "onestep/store";
 * const waiting = waitForStore(folder);
 * await createLatentStore({ folder, manifest: latents.manifest });
 * await waiting;
 */
export async function waitForStore(folder: string, options: { signal?: AbortSignal; poll?: number } = {}): Promise<void> {
  if (isUrl(folder)) return waitForObject(within(folder, "store.json"), { ...options, awaited: `the store ${folder}` });
  const around = dirname(folder);
  const anchor = existsSync(folder) ? folder : existsSync(around) ? around : undefined;
  await waitForFile(within(folder, "store.json"), { ...options, anchor, awaited: `the store ${folder}` });
}

/** How a file is waited for. */
interface Waiting {
  signal?: AbortSignal;
  poll?: number;
  /** What must stay there while the file is waited for. */
  anchor?: string | undefined;
  awaited: string;
}

/** Whether there is something at a path. */
async function isThere(path: string): Promise<boolean> {
  return isUrl(path) ? (await filesAt(path).size(path)) !== undefined : existsSync(path);
}

/** Looks for an object after half a second, then ever more seldom, down to every five seconds. */
async function waitForObject(url: string, { signal, poll = 500, anchor, awaited }: Waiting): Promise<void> {
  for (let pause = poll; !(await isThere(url)); pause = Math.min(1.5 * pause, 10 * poll)) {
    if (anchor !== undefined && !(await isThere(anchor)) && !(await isThere(url))) throw lost(awaited, anchor);
    await pausedFor(pause, signal);
  }
}

function lost(awaited: string, anchor: string): Failure {
  const message = `Cannot go on waiting for ${awaited}: ${anchor} was removed. Repeat the command that makes it, then this one.`;
  return new Failure(message, { cause: gone });
}

async function waitForFile(path: string, options: Waiting): Promise<void> {
  const { signal, poll = 500, anchor, awaited } = options;
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    let watcher: FSWatcher | undefined;
    let absent = 0; // looks in a row at which the anchor was gone
    const finish = (settle: () => void) => {
      clearInterval(timer);
      watcher?.close();
      signal?.removeEventListener("abort", abort);
      settle();
    };
    const look = () => existsSync(path) && finish(resolve);
    const abort = () => finish(() => reject(signal?.reason));
    const timer = setInterval(() => {
      if (look() !== false) return;
      absent = anchor !== undefined && isAbsent(anchor) ? absent + 1 : 0;
      if (absent < 2) return;
      finish(() => reject(lost(awaited, anchor as string)));
    }, poll);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      watcher = watch(dirname(path), look).on("error", () => watcher?.close());
    } catch {
      // The poll alone will do.
    }
    look(); // it may have come before the watcher
  });
}

/** Whether a path certainly names nothing: a file system that does not answer does not say so. */
function isAbsent(path: string): boolean {
  try {
    statSync(path);
    return false;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "ENOENT" || code === "ENOTDIR";
  }
}
