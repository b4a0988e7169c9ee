/** Rows of a store as pictures: the noise, and what the codec beside the store makes of the latent and of the states on the way to it. */
import * as z from "zod";
import type { Context } from "../../schemas/events.ts";
import { Failure } from "../../schemas/failure.ts";
import type { TokenManifest, TripleManifest } from "../../schemas/manifest.ts";
import type { EngineSettings } from "../../schemas/settings.ts";
import { readCodec } from "../runs/model.ts";
import { openStoresTokenizer } from "../sample/tokenizer.ts";
import { createPictureDecoder } from "../sample/picture-decoder.ts";
import type { Picture } from "../../schemas/images.ts";
import { stateColumn, tensorOf, type TripleRow } from "../../store/format/columns.ts";
import { stacked } from "../../store/rows/latents.ts";
import { denormalise, type Statistics } from "../../store/records/statistics.ts";
import type { Store } from "../../store/shards/store.ts";
import { noiseOf } from "../../store/rows/triples.ts";
import type { StoreRow } from "./rows.ts";

export interface View {
  image: Picture;
  /** Of a triple, as large as the image: the first three channels as red, green and blue. */
  noise?: Picture;
  /** Where asked for, of a triple with a trajectory: the states that are columns, noisiest first, each scaled to the latent's spread. */
  states?: Picture[];
}

export interface Viewer {
  view: (rows: readonly StoreRow[], options?: { states?: boolean }) => Promise<View[]>;
  close: () => Promise<void>;
}

/** Opens the codec of a store. A triple's latent is in the teacher's scale, which is undone first. */
export async function openViewer(store: Store, engine: EngineSettings, context: Context): Promise<Viewer> {
  const { manifest, folder } = store;
  if (manifest.kind === "tokens") return openTokenViewer(store as Store<TokenManifest>, engine, context);
  const statistics = manifest.kind === "triples" ? statisticsOf(store as Store<TripleManifest>) : undefined;
  const decoder = await createPictureDecoder({ codec: await readCodec(folder, context), engine, context });
  return {
    view: async (rows, options = {}) => {
      const decoded = (latents: Float32Array[]): Promise<Picture[]> => {
        const all = stacked(latents);
        const raw = manifest.kind === "triples" && statistics ? denormalise(all, statistics, manifest.diffusion.sigmaData) : all;
        return decoder.decode(raw);
      };
      const images = await decoded(rows.map(tensorOf));
      const states: Picture[][] = [];
      if (options.states && manifest.kind === "triples") {
        for (const of of statesToShow(manifest, rows as TripleRow[])) states.push(await decoded(of));
      }
      return images.map((image, i) => {
        const row = rows[i]!;
        if (!("seed" in row)) return { image };
        const noise = noisePicture(row.noise ?? noiseOf(row, row.latent.length), manifest.shape, image);
        return { image, noise, ...(states.length > 0 && { states: states.map((pictures) => pictures[i] as Picture) }) };
      });
    },
    close: decoder.close,
  };
}

/** By column, of all rows: states x times sigmaData / sqrt(sigmaData^2 + sigma^2), which have the variance of latents. */
function statesToShow({ trajectory, diffusion: { sigmaData } }: TripleManifest, rows: readonly TripleRow[]): Float32Array[][] {
  const { steps = [], sigmas = [] } = trajectory ?? {};
  return steps.flatMap((step, i) => {
    const scale = sigmaData / Math.hypot(sigmaData, sigmas[i] as number);
    return step === 0 ? [] : [rows.map((row) => (row[stateColumn(step)] as Float32Array).map((value) => value * scale))];
  });
}

/** Tokens as their tokenizer's own decoder draws them. */
async function openTokenViewer({ folder }: Store<TokenManifest>, engine: EngineSettings, context: Context): Promise<Viewer> {
  const tokenizer = await openStoresTokenizer({ folder, engine, context });
  const { statistics, config } = tokenizer.description;
  const spec = { diffusion: { sigmaData: config.sigmaData } };
  const decoder = await createPictureDecoder({ codec: tokenizer.codec, engine, context, statistics, spec }).catch(async (error) => {
    await tokenizer.close();
    throw error;
  });
  return {
    view: async (rows) => {
      const tokens = rows.flatMap((row) => ("tokens" in row ? [...row.tokens] : []));
      const images = await decoder.decode(await tokenizer.latentsOf(Int32Array.from(tokens)));
      return images.map((image) => ({ image }));
    },
    close: async () => {
      await Promise.all([tokenizer.close(), decoder.close()]);
    },
  };
}

/** What the teacher's scale is undone by, where its store says. Throws a Failure where that does not fit the latents. */
function statisticsOf({ folder, manifest: { teacher, shape } }: Store<TripleManifest>): Statistics | undefined {
  if (teacher.statistics === undefined) return undefined;
  const figures = z.array(z.number()).length(shape[2]);
  const { success } = z.looseObject({ mean: figures, std: figures }).safeParse(teacher.statistics);
  if (success) return teacher.statistics as Statistics;
  throw new Failure(
    `Cannot draw rows of ${folder}: teacher.statistics in its store.json is not a mean and std for each of ${shape[2]} channels. ` +
      "Look at its rows with --rows instead.",
  );
}

/** The pictures of a row beside each other with white lines between, as one: noise, states, image. */
export function sideBySide({ image, noise, states = [] }: View): Picture {
  const all = [...(noise ? [noise] : []), ...states, image]; // of one size
  const { height } = image;
  const step = image.width + 1;
  const width = all.length * step - 1;
  const pixels = new Uint8Array(width * height * 3).fill(255);
  for (const [i, picture] of all.entries()) {
    for (let y = 0; y < height; y++) {
      pixels.set(picture.pixels.subarray(y * image.width * 3, (y + 1) * image.width * 3), (y * width + i * step) * 3);
    }
  }
  return { pixels, width, height };
}

/** Unit noise [h, w, c] in grey or colours, three standard deviations to either end, as squares that fill `like`. */
function noisePicture(noise: Float32Array, [height, width, channels]: readonly [number, number, number], like: Picture): Picture {
  const pixels = new Uint8ClampedArray(like.width * like.height * 3);
  for (let y = 0, at = 0; y < like.height; y++) {
    const row = Math.floor((y * height) / like.height) * width;
    for (let x = 0; x < like.width; x++) {
      const from = (row + Math.floor((x * width) / like.width)) * channels;
      for (let c = 0; c < 3; c++) pixels[at++] = 127.5 + (noise[from + (channels < 3 ? 0 : c)]! * 127.5) / 3;
    }
  }
  return { pixels: new Uint8Array(pixels.buffer), width: like.width, height: like.height };
}
