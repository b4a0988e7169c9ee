/**
 * A store: STORE/store.json and shards of fixed id ranges, each made whole by whoever makes it, in any order. What is
 * missing is what has no file, so resuming needs no state and any number of processes may share the work.
 *
 * In the examples of this folder, which test/docs/ runs, `folder` is the path of an empty place and `latents` and `triples`
 * are finished stores of 50 rows [4, 3, 2] in shards of 8.
 */
import { mkdir } from "node:fs/promises";
import { Failure } from "../../schemas/failure.ts";
import {
  differences,
  fingerprint,
  isTooDeep,
  type Manifest,
  manifestText,
  parseManifest,
  storeVersion,
  upgradedManifest,
} from "../../schemas/manifest.ts";
import { columnsOf } from "../format/columns.ts";
import { filesAt, namesAt } from "../places/files.ts";
import { readJournal } from "../records/journal.ts";
import { readShardMetadata } from "../format/shard.ts";
import { journalPath, type Store } from "../records/layout.ts";
import { missingFrom, partsInstead } from "../places/output.ts";
import { isUrl, within } from "../places/place.ts";
import { shardOf } from "../records/present.ts";
import { readText } from "../places/text.ts";

export { idRange, type RowOf, type Store, shardName, shardPath } from "../records/layout.ts";
export { missingShards, presentShards } from "../records/present.ts";
export { readFailures, readHead, readRows, readShard } from "./read.ts";
export { writeShard } from "./write.ts";

/**
 * Creates a store, or opens the one that is there if it has the same manifest, to go on with it. With `repair` a damaged
 * store.json is written anew where the shards agree. Throws a Failure that lists the differing keys when another store
 * stands in the folder.
 */
export async function createStore<M extends Manifest>(options: {
  folder: string;
  manifest: Omit<M, "format" | "version">;
  repair?: boolean;
}): Promise<Store<M>> {
  const { folder, repair } = options;
  const path = within(folder, "store.json");
  let isDamaged = false;
  const wanted = parseManifest({ ...options.manifest, format: "onestep", version: storeVersion }, "these settings") as M;
  const found = await readManifest(folder).catch((error) => {
    if (!repair || !isDamage(error)) throw error;
    isDamaged = true;
    return undefined;
  });
  if (!found) await checkOrphans(folder, fingerprint(wanted));
  if (found && found.fingerprint !== fingerprint(wanted)) {
    const list = differences(found.manifest, wanted).join("; ") || "an older format: pipeline reprocess upgrades it";
    throw new Failure(
      `Cannot go on with the store ${folder}: it was made with other settings (${list}). Choose another folder, or repeat its settings.`,
    );
  }
  if (isDamaged) await filesAt(path).replace(path, manifestText(wanted));
  else if (!found && (await filesAt(path).create(path, Buffer.from(manifestText(wanted)))) === "other") {
    return createStore(options); // another has made it meanwhile: perhaps with other settings
  }
  if (!isUrl(folder)) await mkdir(within(folder, "shards"), { recursive: true }); // followers watch it
  return handle(folder, wanted, fingerprint(wanted));
}

/**
 * Opens an existing store of any kind. Throws a Failure when there is none or its store.json is damaged.
 *
 * @example
 * import { openStore } from "./store.ts";
 * const { manifest, shards } = await openStore({ folder: latents.folder });
 * assert.deepEqual([manifest.kind, shards], ["latents", 7]);
 */
export async function openStore(options: { folder: string }): Promise<Store> {
  const { folder } = options;
  const found = await readManifest(folder);
  if (!found) {
    if (isUrl(folder)) for await (const _ of filesAt(folder).list(folder)) break; // says where there is no such bucket
    const remedy = partsInstead(folder, ["triples", "latents"]) ?? "Name the folder that `--out` named.";
    throw new Failure(`Cannot open the store ${folder}: ${missingFrom(folder, "store.json")}. ${remedy}`);
  }
  return handle(folder, found.manifest, found.fingerprint);
}

/**
 * Opens a store of one kind; `maker` is the command that writes such folders. Throws a Failure where the folder holds another
 * kind, or none.
 */
export async function openStoreOf<M extends Manifest>(options: { folder: string; kind: M["kind"]; maker: string }): Promise<Store<M>> {
  const { folder, kind, maker } = options;
  const store = await openStore({ folder });
  if (store.manifest.kind === kind) return store as Store<M>;
  throw new Failure(`Cannot read ${kind} from ${folder}: it is a store of ${store.manifest.kind}. Name the folder that ${maker} wrote.`);
}

/** A store of another version may have another way to its fingerprint; or the version is what was damaged. */
function isOtherVersion({ version }: Record<string, unknown>): boolean {
  return typeof version === "number" && version !== storeVersion;
}

const damage = Symbol("damaged store.json"); // marks the failures that `repair` mends

function isDamage(error: unknown): boolean {
  return error instanceof Failure && error.cause === damage;
}

/** A folder may have lost its store.json and still hold shards: they must be those of the store to be. */
async function checkOrphans(folder: string, wanted: string): Promise<void> {
  for (const name of await namesAt(within(folder, "shards"))) {
    if (shardOf(name) === undefined) continue;
    const metadata = await readShardMetadata(within(folder, "shards", name)).catch((error: NodeJS.ErrnoException) => {
      if (error.errno !== undefined) throw error; // a disk that cannot be read says nothing about the shard
    });
    if (!metadata?.fingerprint || metadata.fingerprint === wanted) continue;
    throw new Failure(
      `Cannot write store.json of ${folder}: shards/${name} was made with other settings. ` +
        "Repeat the very settings that made it, or choose another folder.",
    );
  }
}

async function readManifest(folder: string): Promise<{ manifest: Manifest; fingerprint: string } | undefined> {
  const path = within(folder, "store.json");
  const text = await readText(path);
  if (text === undefined) return undefined;
  const damaged = () =>
    new Failure(
      `Cannot open the store ${folder}: store.json is damaged. Repeat the command that made the store with --repair: it is written anew.`,
      { cause: damage },
    );
  let content: Record<string, unknown>;
  try {
    content = JSON.parse(text);
  } catch {
    throw damaged();
  }
  if (isTooDeep(content)) throw damaged();
  const { fingerprint: recorded, ...rest } = content ?? {};
  let manifest: Manifest;
  try {
    manifest = parseManifest(upgradedManifest(rest, path), path);
  } catch (error) {
    if (fingerprint(rest) === recorded) throw error;
    throw isOtherVersion(rest) ? new Failure((error as Error).message, { cause: damage }) : damaged();
  }
  if (manifestText(rest) !== text) throw damaged();
  return { manifest, fingerprint: fingerprint(rest) };
}

async function handle<M extends Manifest>(folder: string, manifest: M, fingerprint: string): Promise<Store<M>> {
  return {
    folder,
    manifest,
    fingerprint, // of the description as it stands in the file: shards of an older version repeat that
    columns: columnsOf(manifest),
    shards: Math.ceil(manifest.entries / manifest.rowsPerShard),
    journal: await readJournal(journalPath({ folder })),
    sound: new Set(),
    remade: new Set(),
  };
}
