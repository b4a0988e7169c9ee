/** What a store holds, in words and tables. */
import { visible } from "../../schemas/visible.ts";
import { bytesInWords, numberInWords } from "../../schemas/words.ts";
import type { LeftOut } from "../../schemas/left-out.ts";
import type { TextShape } from "../../schemas/embedding.ts";
import type { Manifest, Trajectory } from "../../schemas/manifest.ts";
import { stateColumn, tensorOf } from "../../store/format/columns.ts";
import type { Store } from "../../store/shards/store.ts";
import { readLeftOut } from "../../store/records/left-out.ts";
import { readSummary } from "../../store/shards/summary.ts";
import type { Statistics } from "../../store/records/statistics.ts";
import { inWords } from "./balance.ts";
import { codesInWords } from "./codes.ts";
import { captionOf, idOf, type StoreRow } from "./rows.ts";
import type { Spread } from "./spread.ts";
import { isHere, type ShardFacts } from "./ends.ts";
import type { Outlier, Survey } from "./survey.ts";
import type { StateFacts } from "./trajectory.ts";

export type Facts = Record<string, string | number>;

/** How many shards went because all had read them. */
function removedInWords(shards: readonly ShardFacts[]): string {
  const gone = shards.reduce((sum, { state, count }) => sum + (state === "removed" ? count : 0), 0);
  return gone > 0 ? `; ${gone} more were removed once they were read` : "";
}

/** The facts of a store by name: the manifest's and, unless only the shards' ends were read, those of its rows. */
export async function factsOf(store: Store, seen: Pick<Survey, "shards" | "rejected"> & Partial<Survey>): Promise<Facts> {
  const { manifest } = store;
  const { shards, rejected, conditions } = seen;
  const here = shards.filter(isHere);
  const total = (key: "rows" | "bytes") => here.reduce((sum, facts) => sum + facts[key], 0);
  const summary = await readSummary(store);
  const reasons = rejected.reasons
    .slice(0, 3)
    .map(([reason]) => reason)
    .join("; ");
  return {
    kind: manifest.kind,
    finished: summary ? "yes" : "no: repeat the command that made it",
    rows: `${total("rows")} of ${manifest.entries} planned`,
    shards: `${here.length} of ${store.shards}, ${manifest.rowsPerShard} rows each${removedInWords(shards)}`,
    size: bytesInWords(total("bytes")),
    rejected: rejected.count === 0 ? 0 : `${rejected.count} (${reasons})`,
    ...(manifest.kind === "tokens"
      ? { tokens: `${manifest.shape.slice(0, 2).join(" x ")} ${manifest.dtype}` }
      : { latent: `${manifest.shape.join(" x ")} ${manifest.dtype}` }),
    ...(conditions && { conditions: inWords(conditions, manifest.classes) }),
    ...origin(manifest),
    engine: Object.values(manifest.engine).join(" "),
    fingerprint: store.fingerprint,
    ...(summary && { contents: summary.contents }),
    ...leftOutFacts(await readLeftOut(store)),
    ...(seen.codes && { "codes used": codesInWords(seen.codes) }),
    ...(seen.duplicates && {
      duplicates: `${seen.duplicates.estimated ? "about " : ""}${seen.duplicates.repeated} rows repeat an earlier ${nounOf(manifest)}`,
    }),
    ...(seen.latent && { "not finite": shareOf(seen.latent) }),
  };
}

const factOf = { captions: "captions left out", labels: "labels left out", files: "files left out", aside: "passed over" } as const;

/** The names of the facts that say what was left out of a store, by kind. */
export const leftOutKinds: readonly string[] = Object.values(factOf);

/** What was in the input and is not in the store: how much, and by kind every reason with its count and the first few. */
function leftOutFacts(list: LeftOut[] | undefined): Facts {
  if (!list) return {};
  const facts: Facts = { "left out": list.reduce((sum, { count }) => sum + count, 0) };
  for (const { kind, reason, count, first } of list) {
    const line = `${count}: ${reason} (${first.join("; ")}${count > first.length ? "; ..." : ""})`;
    facts[factOf[kind]] = [facts[factOf[kind]], line].filter(Boolean).join(" | ");
  }
  return facts;
}

/** Per-channel statistics as a table; of many channels the first and what the others span. */
export function channelTable(
  { latent, noise, states = [] }: { latent: Statistics; noise?: Statistics; states?: readonly StateFacts[] },
  most = 8,
): Facts[] {
  const channels = latent.mean.length;
  const shown = channels <= most ? channels : most - 2;
  const line = (name: string, { mean, std, min, max }: Statistics, from: number, to: number): Facts => {
    const [m, s] = [mean.slice(from, to), std.slice(from, to)];
    const span = (values: number[]) => (values.length === 1 ? fixed(values[0]!) : `${fixed(least(values))} to ${fixed(largest(values))}`);
    return {
      channel: name,
      mean: span(m),
      std: span(s),
      min: fixed(least(min.slice(from, to))),
      max: fixed(largest(max.slice(from, to))),
    };
  };
  const rows = Array.from({ length: shown }, (_, c) => line(`latent ${c}`, latent, c, c + 1));
  if (shown < channels) rows.push(line(`latent ${shown} to ${channels - 1}`, latent, shown, channels));
  const whole = (name: string): string => (channels > 1 ? `${name}, each` : name);
  if (noise) rows.push(line(whole("noise"), noise, 0, channels));
  for (const { name, statistics } of states) if (statistics) rows.push(line(whole(name), statistics, 0, channels));
  return rows;
}

/** The rows that stand out, as a table. */
export function outlierTable({ farthest, peaks }: Pick<Survey, "farthest" | "peaks">): Facts[] {
  const line = (kind: string, { id, distance, peak }: Outlier): Facts => ({
    "worst rows": kind,
    id,
    "rms z": fixed(distance),
    "largest |z|": fixed(peak),
  });
  return [
    ...farthest.slice(0, 3).map((row) => line("farthest from the mean", row)),
    ...peaks.slice(0, 3).map((row) => line("largest value", row)),
  ];
}

/** One line a row, whatever its name and caption hold: where it comes from, its condition, and its latent in numbers. */
export function rowLine(row: StoreRow, classes: readonly string[]): string {
  const origin =
    "name" in row ? [`image ${row.index}`, row.name] : [`triple ${row.id}`, `seed ${row.seed}`, ...optional("image", row.imageIndex)];
  const { mean, std } = momentsOf(tensorOf(row));
  return visible([...origin, captionOf(row, classes), `mean ${fixed(mean)}`, `std ${fixed(std)}`].filter(Boolean).join("  "));
}

/** What a row is a function of: its condition, noise, teacher and versions; of an image, its place and encoder. */
export function rowFacts(manifest: Manifest, row: StoreRow, place: { shard: number; position: number }): Facts {
  const tensor = tensorOf(row);
  const { mean, std } = momentsOf(tensor);
  const [min, max] = [tensor.reduce((a, b) => Math.min(a, b)), tensor.reduce((a, b) => Math.max(a, b))];
  const { label, caption } = row;
  const triple = manifest.kind === "triples" && "seed" in row;
  return {
    id: idOf(row),
    shard: `${place.shard}, row ${place.position} of it`,
    ...("name" in row && { image: row.name }),
    ...(triple && row.imageIndex != null && { image: `${row.imageIndex} of ${manifest.conditions.source}` }),
    ...(typeof label === "number" && {
      class: manifest.classes[label] === undefined ? label : `${manifest.classes[label]} (${label})`,
    }),
    ...(typeof caption === "string" && { caption }),
    ...origin(manifest),
    ...(triple && { noise: `${manifest.noise}; seed ${row.seed}, stream "noise", offset ${row.id * row.latent.length}` }),
    ...(triple && { diffusion: manifest.diffusion.parameterisation }),
    engine: Object.entries(manifest.engine)
      .map(([name, value]) => `${name} ${value}`)
      .join(", "),
    format: `${manifest.format} version ${manifest.version}`,
    ...("tokens" in row
      ? { tokens: row.tokens.join(" ") }
      : { latent: `mean ${fixed(mean)}, std ${fixed(std)}, min ${fixed(min)}, max ${fixed(max)}` }),
  };
}

function origin(manifest: Manifest): Facts {
  if (manifest.kind === "latents") {
    const { imageSize, encoder, source } = manifest;
    return { images: `${imageSize} px, listing ${source.fingerprint}`, encoder: `${encoder.kind} ${encoder.hash}` };
  }
  if (manifest.kind === "tokens") {
    const { imageSize, encoder, tokenizer, source } = manifest;
    return {
      tokenizer: `${tokenizer.hash}, ${tokenizer.codes} codes`,
      images: `${imageSize} px, latents ${source.fingerprint}`,
      encoder: `${encoder.kind} ${encoder.hash}`,
    };
  }
  const { teacher, solver, guidance, guidanceRescale, seed, noise, embedding, trajectory, conditions } = manifest;
  return {
    teacher: teacher.hash,
    solver: `${solver.name}, ${solver.steps} steps, guidance ${guidance}${guidanceRescale ? `, rescaled by ${guidanceRescale}` : ""}`,
    seed,
    noise,
    ...(trajectory && { trajectory: trajectoryInWords(trajectory) }),
    "conditions from": conditions.source,
    ...(typeof conditions.negative === "string" && { "negative prompt": conditions.negative }),
    ...(embedding && { embeddings: embeddingInWords(embedding) }),
  };
}

/** What the rows keep of their captions. */
function embeddingInWords({ length, width, isMasked, pooled }: TextShape): string {
  const tokens = `${length} tokens of ${width}${isMasked ? " with a mask" : ""}`;
  return pooled > 0 ? `${tokens}, ${pooled} pooled features` : tokens;
}

/** The columns of the teacher's states with their noise levels, noisiest first; that before step 0 is no column. */
function trajectoryInWords({ steps, sigmas }: Trajectory): string {
  const level = (i: number): string => `sigma ${numberInWords(Number((sigmas[i] as number).toPrecision(4)))}`;
  return steps.map((step, i) => (step === 0 ? `noise times its sigma (${level(i)})` : `${stateColumn(step)} (${level(i)})`)).join(", ");
}

function momentsOf(values: Float32Array): { mean: number; std: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, std: Math.sqrt(variance) };
}

/** What each row of a store is. */
const nounOf = ({ kind }: Manifest): string => (kind === "tokens" ? "grid of tokens" : "latent");

function shareOf({ values, statistics: { nonFinite } }: Spread): string {
  return nonFinite === 0
    ? "no value of the latents"
    : `${nonFinite} values of the latents (${numberInWords((100 * nonFinite) / values)} %)`;
}

const least = (values: readonly number[]): number => values.reduce((a, b) => Math.min(a, b), Infinity);
const largest = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b), -Infinity);
const optional = (name: string, value: unknown): string[] => (value == null ? [] : [`${name} ${value}`]);
const fixed = (value: number): string => value.toFixed(3);
