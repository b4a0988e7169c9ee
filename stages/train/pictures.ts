/** What there is to see of a training on its way: grids in RUN/pictures. */
import { conditionedRows, type Conditions } from "../../models/conditions.ts";
import { noiseFor, type SampleNoise } from "../../models/diffusion/sample-noise.ts";
import type { SamplerPlan } from "../../models/diffusion/sampler-plan.ts";
import type { SamplerInputs } from "../../models/diffusion/sampling.ts";
import type { Context } from "../../schemas/events.ts";
import type { TripleManifest } from "../../schemas/manifest.ts";
import { stacked } from "../../store/rows/latents.ts";
import type { Store } from "../../store/shards/store.ts";
import { readTriples } from "../../store/rows/triples.ts";
import { pictureAt } from "../runs/record.ts";
import { untilThere } from "../runs/vigil.ts";
import { sampleEvenly } from "./sample-evenly.ts";
import type { Codes } from "../sample/codes.ts";
import type { PictureDecoder } from "../sample/picture-decoder.ts";
import type { Trainer } from "./training.ts";

type Picture = (step: number, trainer: Trainer) => Promise<void>;

const COLUMNS = 16;
const PICTURED = 32;

/**
 * The teacher's latents of the first rows there are above the student's and its EMA's, of the same noise and condition: those
 * of the first shard that has any. Nothing is drawn of a store without rows.
 */
export function besideTeacher(options: {
  triples: Store<TripleManifest>;
  conditions: Conditions;
  /** How the student is sampled, and the seed of what noise that takes beyond the triples'. */
  plan: SamplerPlan;
  seed: number;
  decoder: PictureDecoder;
  folder: string;
  context: Context;
}): Picture {
  const { triples, conditions, plan, seed, decoder, folder, context } = options;
  return async (step, trainer) => {
    const rows = await firstRows(triples, context);
    if (rows.length === 0) return;
    const spec = { shape: triples.manifest.shape };
    const noise = noiseFor({ seed, stream: "pictures", first: stacked(rows.map((row) => row.noise)), rows: rows.length, spec, plan });
    const inputs = { ...noise, rows: rows.length, conditions: await conditions.inputs(conditionedRows(rows)) };
    const raw = await sampleEvenly((part) => trainer.sample(part, "network"), inputs);
    const average = await sampleEvenly((part) => trainer.sample(part), inputs);
    const latents = rows.map((row) => row.latent);
    await decoder.writeGrid({ path: pictureAt(folder, step), ...linesInThrees(latents, { raw, average }) });
  };
}

async function firstRows(triples: Store<TripleManifest>, context: Context): Promise<Awaited<ReturnType<typeof readTriples>>> {
  for (let shard = 0; shard < triples.shards; shard++) {
    await untilThere(triples, shard, { stage: "train", context });
    const rows = await readTriples(triples, shard);
    if (rows.length > 0) return rows.slice(0, PICTURED);
  }
  return [];
}

/**
 * Lines of a grid in threes: the teacher's, and below of the same noise and condition the student's and its EMA's. Empty
 * places of the last three stay grey.
 */
function linesInThrees(teacher: Float32Array[], { raw, average }: { raw: Float32Array; average: Float32Array }) {
  const length = teacher[0]?.length ?? 0;
  const rowsOf = (latents: Float32Array) => teacher.map((_, i) => latents.subarray(i * length, (i + 1) * length));
  const [student, steady] = [rowsOf(raw), rowsOf(average)];
  const columns = Math.min(COLUMNS, teacher.length);
  const grey = new Float32Array(length);
  const lines: Float32Array[] = [];
  const rowLabels: string[] = [];
  for (let at = 0; at < teacher.length; at += columns) {
    for (const rows of [teacher, student, steady]) for (let i = at; i < at + columns; i++) lines.push(rows[i] ?? grey);
    rowLabels.push("teacher", "student", "EMA");
  }
  return { latents: stacked(lines), columns, rowLabels };
}

/** Samples of the EMA, of the same noise and conditions at every step; none before the first. */
export function samples(options: { inputs: () => Promise<SamplerInputs>; decoder: PictureDecoder; folder: string }): Picture {
  const { inputs, decoder, folder } = options;
  return async (step, trainer) => {
    if (step === 0) return;
    const latents = await sampleEvenly((part) => trainer.sample(part), await inputs());
    await decoder.writeGrid({ path: pictureAt(folder, step), latents, columns: 8 });
  };
}

/** Images, and below each what the tokenizer's own decoder and what the student's EMA make of its codes; none before the first step. */
export function reconstructions(options: {
  latents: () => Promise<Float32Array>;
  rows: number;
  codes: Codes;
  noise: SampleNoise;
  decoder: PictureDecoder;
  folder: string;
}): Picture {
  const { latents, rows, codes, noise, decoder, folder } = options;
  return async (step, trainer) => {
    if (step === 0) return;
    const images = await latents();
    const conditions = await codes.ofLatents(images);
    const drawn = await sampleEvenly((part) => trainer.sample(part), { ...noise, rows, conditions });
    const own = await codes.decoded(images);
    const whole = new Float32Array(3 * images.length);
    [images, own, drawn].forEach((part, line) => whole.set(part, line * images.length));
    await decoder.writeGrid({ path: pictureAt(folder, step), latents: whole, columns: rows, rowLabels: ["image", "tokenizer", "student"] });
  };
}

/** Pairs a row of a grid. */
const PAIRS = 8;

/**
 * Each image of the first batch above its way through the autoencoder. `images` is undefined until there is a batch; each has
 * `length` values.
 */
export function roundTrips(options: {
  images: () => Float32Array | undefined;
  length: number;
  decoder: PictureDecoder;
  folder: string;
}): Picture {
  const { decoder, length, folder } = options;
  return async (step, trainer) => {
    const images = options.images();
    if (!images) return;
    const { decoded } = (await trainer.look("roundTrip", { images })) as { decoded: Float32Array };
    const rows = images.length / length;
    const columns = Math.min(PAIRS, rows);
    const lines = Math.ceil(rows / columns);
    const both = new Float32Array(2 * lines * columns * length); // the last line's empty places stay grey
    for (let i = 0; i < rows; i++) {
      const at = (Math.floor(i / columns) * 2 * columns + (i % columns)) * length;
      both.set(images.subarray(i * length, (i + 1) * length), at);
      both.set(decoded.subarray(i * length, (i + 1) * length), at + columns * length);
    }
    await decoder.writeGrid({ path: pictureAt(folder, step), latents: both, columns });
  };
}
