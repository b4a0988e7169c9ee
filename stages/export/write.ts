/** Writes the files of an export: each appears whole or not at all, and what is there already stays. */
import { existsSync } from "node:fs";
import { type FileHandle, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "../../schemas/failure.ts";
import { removeTemporaries, writeAtomic } from "../../store/places/atomic.ts";
import { shardDigits } from "../../store/records/layout.ts";
import { readShard, type Store } from "../../store/shards/store.ts";
import { bytesOf, columnsToExport, type ExportColumn } from "./columns.ts";
import type { ShardFormat } from "./formats.ts";
import { npyHeader, shapeOf } from "./npy.ts";

export interface ExportOptions {
  store: Store;
  out: string;
  signal: AbortSignal;
  onShard: (done: number) => void;
}

/** What export.json says: of which store or run the files are, and everything needed to read meaning into them. */
export type ExportIdentity =
  | {
      format: string;
      /** Hash of the store's contents: see schemas/README.md. */
      contents: string;
      rows: number;
      manifest: unknown;
    }
  | {
      format: string;
      /** Hash of the run's weights. */
      weights: string;
      dtype: string;
      teacher: string;
      /** As it was named. */
      licence?: string;
    };

/** Puts export.json into the folder, or goes on with the same export there. Throws a Failure where another stands. */
export async function claimFolder(out: string, identity: ExportIdentity): Promise<void> {
  const path = join(out, "export.json");
  const text = `${JSON.stringify(identity, null, 2)}\n`;
  if (!existsSync(path)) await writeAtomic(path, text);
  else if ((await readFile(path, "utf8")) !== text)
    throw new Failure(`Cannot export to ${out}: another export stands there. Choose another folder with --out, or delete it.`);
  await removeTemporaries(out, { all: true });
}

/** One file a shard that has rows; a shard whose file is there is passed over. Answers how many files were written. */
export async function writeShardFiles({ store, out, signal, onShard, format }: ExportOptions & { format: ShardFormat }): Promise<number> {
  let written = 0;
  for (let shard = 0; shard < store.shards; shard++) {
    signal.throwIfAborted();
    const path = join(out, `${shardDigits(shard)}.${format.extension}`);
    if (!existsSync(path)) {
      const rows = await readShard(store, shard);
      if (rows.length > 0) {
        await writeAtomic(path, format.encode(columnsToExport(store.manifest, rows), rows.length, store.manifest.classes));
        written++;
      }
    }
    onShard(shard + 1);
  }
  return written;
}

/**
 * One .npy file a column over all rows, and rows.jsonl with the texts. A stop leaves none of them. Throws a Failure where the
 * shards have another number of rows than the heads of the files say.
 */
export async function writeNpyFiles({ store, out, signal, onShard, rows }: ExportOptions & { rows: number }): Promise<number> {
  const { classes } = store.manifest;
  const columns = columnsToExport(store.manifest, []).flatMap((column) => (column.type === "text" ? [] : [column]));
  const files = [
    ...columns.map((column) => ({ path: join(out, `${column.name}.npy`), head: npyHeader(column.type, shapeOf(column, rows)) })),
    { path: join(out, "rows.jsonl"), head: new Uint8Array() },
  ];
  if (files.every(({ path }) => existsSync(path))) return 0;
  await writeTogether(files, async (handles) => {
    let written = 0;
    for (let shard = 0; shard < store.shards; shard++) {
      signal.throwIfAborted();
      const read = await readShard(store, shard);
      written += read.length;
      const part = columnsToExport(store.manifest, read);
      const numbers = part.filter((column) => column.type !== "text");
      for (const [i, { values }] of numbers.entries())
        await handles[i]!.appendFile(bytesOf(values as Exclude<ExportColumn["values"], unknown[]>));
      await handles.at(-1)!.appendFile(textLines(part, classes));
      onShard(shard + 1);
    }
    if (written === rows) return;
    throw new Failure(
      `Cannot export ${store.folder}: its shards have ${written} rows and its summary.json says ${rows}. ` +
        "Run pipeline verify with --repair.",
    );
  });
  return files.length;
}

/** The texts of each row as a line of JSON, with its id and the name of its class. */
function textLines(columns: readonly ExportColumn[], classes: readonly string[]): string {
  const ids = columns[0]!.values as BigInt64Array;
  const labels = columns.find(({ name }) => name === "label")!.values as Int32Array;
  const texts = columns.filter((column) => column.type === "text");
  const line = (id: bigint, i: number) => ({
    id: Number(id),
    class: classes[labels[i]!] ?? null,
    ...Object.fromEntries(texts.map(({ name, values }) => [name, values[i]])),
  });
  return Array.from(ids, (id, i) => `${JSON.stringify(line(id, i))}\n`).join("");
}

/** Writes several files at once through handles; they appear when `body` has ended well, and otherwise none does. */
async function writeTogether(
  files: readonly { path: string; head: Uint8Array }[],
  body: (handles: FileHandle[]) => Promise<void>,
  opened: FileHandle[] = [],
): Promise<void> {
  const [file, ...rest] = files;
  if (!file) return body(opened);
  await writeAtomic(file.path, file.head, async (scratch) => {
    const handle = await open(scratch, "a");
    try {
      await writeTogether(rest, body, [...opened, handle]);
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}
