/** A store as users of the package open it. */
import type { RecordBatch, Schema } from "apache-arrow";
import { fieldsOf } from "../../schemas/columns.ts";
import type { Manifest } from "../../schemas/manifest.ts";
import { arrowSchema } from "../format/arrow.ts";
import { recordBatches, type RecordBatchOptions } from "./record-batches.ts";
import { openStore as openFolder, type Store } from "../shards/store.ts";

export interface OpenStore<M extends Manifest = Manifest> extends Store<M> {
  /** Of its rows, in Arrow's types. */
  schema: Schema;
  /** Its rows in the order of their ids, as Arrow record batches; see `recordBatches`. */
  batches: (options?: RecordBatchOptions) => AsyncGenerator<RecordBatch>;
}

/**
 * Opens the store in a folder, of any kind; `manifest.kind` tells which. Throws a Failure when there is none or its store.json is damaged.
 *
 * @example
 * import { openStore } from "onestep";
 * const store = await openStore(latents.folder);
 * assert.deepEqual(store.schema.names, ["index", "name", "label", "caption", "latent"]);
 * for await (const batch of store.batches({ columns: ["latent"], rows: 8 })) assert.ok(batch.numRows <= 8);
 */
export async function openStore(path: string): Promise<OpenStore> {
  const store = await openFolder({ folder: path });
  return { ...store, schema: arrowSchema(fieldsOf(store.manifest)), batches: (options) => recordBatches(store, options) };
}
