/** Small stores for the tests, in a temporary folder that is removed at exit. */
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { normals } from "../../schemas/numbers/philox.ts";
import type { Draft, LatentManifest, TripleManifest } from "../../schemas/manifest.ts";
import { diffusionSettings } from "../../schemas/settings.ts";
import type { LatentRow, TripleRow } from "../../store/format/columns.ts";
import type { FailedRow } from "../../store/records/journal.ts";
import { noiseOf } from "../../store/rows/triples.ts";
import { idRange, type Store, writeShard } from "../../store/shards/store.ts";

export { freshFolder } from "../fixtures/folders.ts";

const common = {
  shape: [4, 3, 2] as [number, number, number],
  dtype: "float32" as const,
  entries: 50,
  rowsPerShard: 8,
  classes: ["cat", "dog"],
  engine: { device: "cpu", version: "test" },
};

export function latentManifest(changes: Partial<Draft<LatentManifest>> = {}): Draft<LatentManifest> {
  const encoder = { kind: "pixel", hash: "e0" };
  return { ...common, imageSize: 32, encoder, source: { fingerprint: "s0" }, ...changes };
}

export function tripleManifest(changes: Partial<Draft<TripleManifest>> = {}): Draft<TripleManifest> {
  return {
    ...common,
    seed: "18446744073709551557",
    noise: "derived",
    teacher: { hash: "t0" },
    solver: { name: "heun", steps: 18 },
    diffusion: diffusionSettings.parse({}),
    guidance: 1.5,
    conditions: { source: "classes" },
    ...changes,
  };
}

/** A deterministic latent of any row; never what the noise is. */
export function latentOf(id: number, length = 24): Float32Array {
  return normals({ seed: 99, stream: "latents of the tests", offset: id * length, length });
}

const captions = ["a cat", "", "наутро 🐈", null, "\uFEFFmarked"];

export function latentRow(index: number): LatentRow {
  const label = index % 3 === 2 ? null : index % 3;
  return { index, name: `dir/${index}.png`, label, caption: captions[index % 5] ?? null, latent: latentOf(index) };
}

export function tripleRow(store: Store<TripleManifest>, id: number): TripleRow {
  const seed = BigInt(store.manifest.seed);
  const length = store.manifest.shape.reduce((a, b) => a * b, 1);
  const row = {
    id,
    seed,
    imageIndex: id,
    label: id % 2,
    caption: captions[id % 5] ?? null,
    latent: latentOf(id, length),
  };
  return store.manifest.noise === "stored" ? { ...row, noise: noiseOf(row, length) } : row;
}

/** Writes one shard of a fixture store; `fails` says which ids have no row. */
export async function fillShard(
  store: Store<LatentManifest> | Store<TripleManifest>,
  shard: number,
  fails: (id: number) => boolean = () => false,
): Promise<void> {
  const { from, to } = idRange(store.manifest, shard);
  const ids = Array.from({ length: to - from }, (_, i) => from + i);
  const failed: FailedRow[] = ids.filter(fails).map((id) => ({ id, name: `${id}.png`, reason: "not an image" }));
  const kept = ids.filter((id) => !fails(id));
  if (isLatent(store)) await writeShard(store, { shard, rows: kept.map(latentRow), failed });
  else await writeShard(store, { shard, rows: kept.map((id) => tripleRow(store, id)), failed });
}

export async function fill(store: Store<LatentManifest> | Store<TripleManifest>, fails?: (id: number) => boolean): Promise<void> {
  for (let shard = 0; shard < store.shards; shard++) await fillShard(store, shard, fails);
}

function isLatent(store: Store<LatentManifest> | Store<TripleManifest>): store is Store<LatentManifest> {
  return store.manifest.kind === "latents";
}

/** Takes a store its journal, sealed or not. */
export function loseJournal({ folder }: Pick<Store, "folder">): void {
  for (const name of ["journal", "journal.jsonl"]) rmSync(join(folder, name), { recursive: true, force: true });
}

/** Every file of a folder by its path, as hex, to compare folders byte by byte. */
export function contentsOf(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
  const files = names.filter((name) => statSync(join(folder, name)).isFile());
  return Object.fromEntries(files.map((name) => [name, readFileSync(join(folder, name)).toString("hex")]));
}
