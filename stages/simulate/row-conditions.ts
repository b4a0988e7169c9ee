/** The condition of every row of a simulation, a pure function of the row's id: the teacher's own, those of images, or prompts. */
import { integers } from "../../schemas/numbers/philox.ts";
import type { DenoiserDescription } from "../../schemas/model.ts";
import { badUsage, Failure } from "../../schemas/failure.ts";
import type { LatentManifest, TripleManifest } from "../../schemas/manifest.ts";
import type { SimulateSettings } from "../../schemas/settings.ts";
import type { ConditionColumn } from "../../models/conditions.ts";
import { type DenoiserSpec, labelsOf } from "../../models/denoiser.ts";
import { conditionColumns } from "../../models/encoders/own.ts";
import type { LatentRow, TripleRow } from "../../store/format/columns.ts";
import { waitForShard } from "../../store/rows/follow.ts";
import { textHash } from "../../store/places/hash.ts";
import { openLatentStore } from "../../store/rows/latents.ts";
import { readHead, readShard, type Store } from "../../store/shards/store.ts";
import { checkClasses } from "./classes.ts";
import { readPrompts } from "./prompts.ts";

export type RowCondition = Pick<TripleRow, "imageIndex" | "label" | "caption">;

export interface RowConditions {
  /** What the conditions are a function of, for store.json. */
  identity: TripleManifest["conditions"];
  /** The conditions of rows `from` to `to` (exclusive). */
  of: (range: { from: number; to: number }, signal: AbortSignal) => Promise<RowCondition[]>;
}

interface Options {
  teacher: DenoiserDescription;
  /** Latent store whose rows lend their labels or captions, in order and over again; it may still be growing. */
  latents?: string;
  /** Prompts to take in turn, and the text in place of a dropped one. */
  asked?: Pick<SimulateSettings, "prompts" | "negative">;
  seed: number;
  /** Called when the latent store has not come to a shard yet. */
  onWait?: (shard: number) => void;
}

/**
 * Conditions as the teacher wants them: those of `latents`, or prompts in turn. Without either classes come in turn, and captions
 * are drawn by `seed` from those that the teacher keeps. Throws a Failure where the classes of the store are not the teacher's, where
 * the teacher keeps no captions, or reads none and is given prompts.
 */
export async function openRowConditions(options: Options): Promise<RowConditions> {
  const { text } = options.teacher.spec.network;
  const { negative } = options.asked ?? {};
  if (!text && negative !== undefined) {
    throw badUsage("Cannot use a negative prompt with this teacher: it has no published text encoders. Leave --negative out");
  }
  const { identity, of } = await openColumns(options);
  return { identity: { ...identity, ...(text && { text: text.hash }), ...(negative !== undefined && { negative }) }, of };
}

async function openColumns({ teacher, latents, asked, seed, onWait }: Options): Promise<RowConditions> {
  const columns = conditionColumns(teacher.spec.network);
  const [column] = columns;
  if (asked?.prompts !== undefined) {
    if (column === "caption" && latents === undefined) return promptsInTurn(await readPrompts(asked.prompts));
    const why = latents === undefined ? "this teacher reads no text" : `the captions of ${latents} are to be used. Name one of both`;
    throw badUsage(`Cannot take prompts from ${asked.prompts}: ${why}`);
  }
  if (!column) return { identity: { source: "none" }, of: async (range) => each(range, () => ({})) };
  if (latents !== undefined) {
    const store = await openLatentStore({ folder: latents });
    checkStoreClasses(store, teacher.spec);
    return conditionsOfImages({ store, columns, onWait });
  }
  return ownConditions[column](teacher, seed);
}

/** Throws a Failure where a teacher reads labels and the classes of a store are not its own. */
export function checkStoreClasses({ folder, manifest }: Pick<Store, "folder" | "manifest">, spec: DenoiserSpec): void {
  if (!conditionColumns(spec.network).includes("label")) return;
  checkClasses({
    names: manifest.classes,
    own: labelsOf(spec),
    attempt: `take conditions from ${folder}`,
    owner: "the teacher",
    remedy: "Name the store the teacher was trained on, or none to use the teacher's own.",
  });
}

/** Conditions that a teacher brings along, by the column they fill. */
const ownConditions: Record<ConditionColumn, (teacher: DenoiserDescription, seed: number) => RowConditions> = {
  label: ({ spec }) => classesInTurn(spec.classes),
  caption: ({ captions }, seed) => drawnCaptions(captions, seed),
};

function classesInTurn(classes: readonly string[]): RowConditions {
  const of: RowConditions["of"] = async (range) => each(range, (id) => ({ label: id % classes.length }));
  return { identity: { source: "classes" }, of };
}

function promptsInTurn(prompts: readonly string[]): RowConditions {
  const of: RowConditions["of"] = async (range) => each(range, (id) => ({ caption: prompts[id % prompts.length] }));
  return { identity: { source: "prompts", hash: textHash(JSON.stringify(prompts)) }, of };
}

function drawnCaptions(captions: readonly string[], seed: number): RowConditions {
  if (captions.length === 0) {
    throw new Failure(
      "Cannot ask a teacher that reads captions without any: it keeps none itself. Name a file of them with --prompts, or a latent store " +
        "(simulate --conditions).",
    );
  }
  return {
    identity: { source: "captions", hash: textHash(JSON.stringify(captions)) },
    of: async ({ from, to }) => {
      const stream = "conditions/captions";
      const drawn = integers({ seed, stream, offset: from, length: to - from, below: captions.length });
      return Array.from(drawn, (i) => ({ caption: captions[i] }));
    },
  };
}

/** Row k of the simulation takes the condition of row (k mod rows) of the latent store, counted through its shards. */
function conditionsOfImages({
  store,
  columns,
  onWait,
}: {
  store: Store<LatentManifest>;
  columns: ConditionColumn[];
  onWait?: (shard: number) => void;
}): RowConditions {
  const counts: number[] = []; // rows of each shard, as far as looked at: rejected images make shards short
  let at: { shard: number; conditions: RowCondition[] } | undefined; // the shard read last

  async function locate(row: number, signal: AbortSignal): Promise<{ shard: number; offset: number }> {
    let before = 0;
    for (let shard = 0; shard < store.shards; shard++) {
      counts[shard] ??= await countRows(store, shard, { signal, onWait });
      if (row < before + (counts[shard] as number)) return { shard, offset: row - before };
      before += counts[shard] as number;
    }
    if (before === 0) throw new Failure(`Cannot take conditions from ${store.folder}: every image in it was rejected. See its quarantine.`);
    return locate(row % before, signal);
  }

  return {
    identity: { source: store.fingerprint },
    of: async ({ from, to }, signal) => {
      const found: RowCondition[] = [];
      while (found.length < to - from) {
        const { shard, offset } = await locate(from + found.length, signal);
        if (at?.shard !== shard) {
          const rows = await readShard(store, shard);
          const read = (row: LatentRow): RowCondition => Object.fromEntries(columns.map((column) => [column, row[column]]));
          at = { shard, conditions: rows.map((row) => ({ imageIndex: row.index, ...read(row) })) };
        }
        found.push(...at.conditions.slice(offset, offset + to - from - found.length));
      }
      return found;
    },
  };
}

/** How many rows a shard has, once it is there: read from its end alone. */
async function countRows(
  store: Store<LatentManifest>,
  shard: number,
  options: { signal: AbortSignal; onWait?: (shard: number) => void },
): Promise<number> {
  await waitForShard(store, shard, options);
  return (await readHead(store, shard)).rows;
}

function each({ from, to }: { from: number; to: number }, of: (id: number) => RowCondition): RowCondition[] {
  return Array.from({ length: to - from }, (_, i) => of(from + i));
}
