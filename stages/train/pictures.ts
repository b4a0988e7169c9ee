/** What there is to see of a training on its way: grids in RUN/pictures. */
import type { Conditions } from "../../models/conditions.ts";
import type { SamplerInputs } from "../../models/diffusion/sampling.ts";
import type { Context } from "../../schemas/events.ts";
import type { TripleManifest } from "../../schemas/manifest.ts";
import { waitForShard } from "../../store/follow.ts";
import { stacked } from "../../store/latents.ts";
import type { Store } from "../../store/store.ts";
import { readTriples } from "../../store/triples.ts";
import { pictureAt } from "../runs/record.ts";
import { sampleEvenly } from "./watch.ts";
import type { PictureDecoder } from "../sample/picture-decoder.ts";
import type { Trainer } from "./training.ts";

type Picture = (step: number, trainer: Trainer) => Promise<void>;

const COLUMNS = 16;
const PICTURED = 32;

/** The teacher's latents of the store's first rows above the student's and its EMA's, of the same noise and condition. */
export function besideTeacher(options: {
  triples: Store<TripleManifest>;
  conditions: Conditions;
  decoder: PictureDecoder;
  folder: string;
  context: Context;
}): Picture {
  const { triples, conditions, decoder, folder, context } = options;
  return async (step, trainer) => {
    await waitForShard(triples, 0, context);
    const rows = (await readTriples(triples, 0)).slice(0, PICTURED);
    const batch = { label: Int32Array.from(rows, (row) => row.label ?? -1), caption: rows.map((row) => row.caption ?? null) };
    const inputs = { noise: stacked(rows.map((row) => row.noise)), rows: rows.length, conditions: conditions.inputs(batch) };
    const raw = await sampleEvenly((part) => trainer.sample(part, "network"), inputs);
    const average = await sampleEvenly((part) => trainer.sample(part), inputs);
    const latents = rows.map((row) => row.latent);
    await decoder.writeGrid({ path: pictureAt(folder, step), ...linesInThrees(latents, { raw, average }) });
  };
}

/** Lines of a grid in threes: the teacher's, and below of the same noise and condition the student's and its EMA's. */
function linesInThrees(teacher: Float32Array[], { raw, average }: { raw: Float32Array; average: Float32Array }) {
  const length = teacher[0]?.length ?? 0;
  const rowsOf = (latents: Float32Array) => teacher.map((_, i) => latents.subarray(i * length, (i + 1) * length));
  const [student, steady] = [rowsOf(raw), rowsOf(average)];
  const columns = Math.min(COLUMNS, teacher.length);
  const lines: Float32Array[] = [];
  const rowLabels: string[] = [];
  for (let at = 0; at + columns <= teacher.length; at += columns) {
    for (const rows of [teacher, student, steady]) lines.push(...rows.slice(at, at + columns));
    rowLabels.push("teacher", "student", "EMA");
  }
  return { latents: stacked(lines), columns, rowLabels };
}

/** Samples of the EMA, of the same noise and conditions at every step; none before the first. */
export function samples(options: { inputs: SamplerInputs; decoder: PictureDecoder; folder: string }): Picture {
  const { inputs, decoder, folder } = options;
  return async (step, trainer) => {
    if (step === 0) return;
    const latents = await sampleEvenly((part) => trainer.sample(part), inputs);
    await decoder.writeGrid({ path: pictureAt(folder, step), latents, columns: 8 });
  };
}

/** Pairs a row of a grid. */
const PAIRS = 8;

/** Each image of the first batch above its way through the autoencoder. `images` is undefined until there is a batch. */
export function roundTrips(options: {
  images: () => Float32Array | undefined;
  rows: number;
  decoder: PictureDecoder;
  folder: string;
}): Picture {
  const { decoder, rows, folder } = options;
  return async (step, trainer) => {
    const images = options.images();
    if (!images) return;
    const { decoded } = (await trainer.look("roundTrip", { images })) as { decoded: Float32Array };
    const length = images.length / rows;
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
