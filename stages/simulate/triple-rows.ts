/** Single rows of a triple store: what the sampler made as a row or a reason, and a kept row as its new store wants it. */
import { Failure } from "../../schemas/failure.ts";
import type { TripleManifest } from "../../schemas/manifest.ts";
import { fromHalf, toHalf } from "../../schemas/numbers/half.ts";
import { stateColumns, type TripleRow } from "../../store/format/columns.ts";
import type { FailedRow } from "../../store/records/journal.ts";
import type { Store } from "../../store/shards/store.ts";
import { noiseOf } from "../../store/rows/triples.ts";
import { notFinite } from "../encode/finite-rows.ts";
import type { RowCondition } from "./row-conditions.ts";

/** What the sampler gives of one row; its states are those of the store's columns, in their order. */
export interface Made {
  latent: Float32Array;
  noise: Float32Array;
  states: Float32Array[];
  /** Of the caption, where the store keeps them. */
  embedding: Float32Array | undefined;
}

/** How a store has its rows. */
export function tripleRowsOf({ folder, manifest }: Store<TripleManifest>): {
  /**
   * A simulated row, or why it is none: a value that is not finite, or would not be as a half float. Throws a Failure where it is
   * not the latent that was `expected`.
   */
  simulated: (id: number, condition: RowCondition, made: Made, expected?: TripleRow) => TripleRow | FailedRow;
  /** A kept row under the conditions and with the columns of its new store. */
  rewritten: (row: TripleRow, condition: RowCondition) => TripleRow;
} {
  const { shape, seed, dtype } = manifest;
  const length = shape[0] * shape[1] * shape[2];
  const isStored = manifest.noise === "stored";
  const names = stateColumns(manifest);
  const asStored = (values: Float32Array): Float32Array => (dtype === "float16" ? fromHalf(toHalf(values)) : values);
  return {
    simulated: (id, condition, { latent, noise, states, embedding }, expected) => {
      if (expected && !bytesOf(asStored(latent)).equals(bytesOf(asStored(expected.latent)))) {
        throw new Failure(
          `Cannot add states to the rows for ${folder}: the latent of row ${id} does not come out as it is stored, so this teacher, ` +
            "device or version computes other bits. Make a new store: pipeline simulate --trajectory.",
        );
      }
      const odd = names.flatMap((name, i) => notFinite(asStored(states[i] as Float32Array), name) ?? []);
      const reason = notFinite(latent) ?? odd[0] ?? (embedding && notFinite(asStored(embedding), "embedding"));
      if (reason !== undefined) return { id, reason };
      const kept = Object.fromEntries(names.map((name, i) => [name, states[i]]));
      return { id, seed: BigInt(seed), ...condition, ...(embedding && { embedding }), ...(isStored && { noise }), ...kept, latent };
    },
    rewritten: (row, condition) => {
      const kept = Object.fromEntries(names.map((name) => [name, row[name]]));
      const noise = isStored && { noise: row.noise ?? noiseOf(row, length) };
      const embedding = manifest.embedding && row.embedding && { embedding: row.embedding };
      return { id: row.id, seed: row.seed, ...condition, ...embedding, ...noise, ...kept, latent: row.latent };
    },
  };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer => Buffer.from(buffer, byteOffset, byteLength);
