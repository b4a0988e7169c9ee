import { existsSync } from "node:fs";
import { join } from "node:path";
import { filter } from "rxjs";
import { permutation } from "../../schemas/numbers/philox.ts";
import { Failure } from "../../schemas/failure.ts";
import type { ImageSize } from "../../schemas/images.ts";
import type { Settings } from "../../schemas/settings.ts";
import type { CodecWorker } from "../workers/codec.ts";
import { iterate, through } from "../flow/mod.ts";
import { decode, omissionsInWords, openImages, CROP_FILTER } from "../ingest/mod.ts";
import { readCodec } from "../runs/model.ts";
import { openLatentStore, readLatents, stacked } from "../../store/rows/latents.ts";
import { isUrl } from "../../store/places/place.ts";
import type { LatentRow } from "../../store/format/columns.ts";
import { startWorker } from "../workers/start.ts";

/** A real image, [height, width, 3] RGB, with the condition under which its counterpart is generated. */
export interface ReferencePicture {
  pixels: Uint8Array;
  label?: number;
  caption?: string;
}

/** Real images: all of them, or some in an order that the seed alone decides. */
export interface Reference {
  size: ImageSize;
  /** How many there are at most: some may turn out not to be readable. */
  available: number;
  classes: string[];
  /** How the stored images come to their size, or what else stands between them and what is compared. */
  preparation: string;
  /** What of its files is not measured, in words. */
  omissions: string[];
  /** Every image, in the source's own order: the same one each time. */
  all: () => AsyncGenerator<ReferencePicture>;
  /** Draws without replacement: the next `count` images, or as many as are left. */
  draw: (count: number) => AsyncGenerator<ReferencePicture>;
}

interface ReferenceOptions {
  path: string;
  /** What images are brought to, where it is not `images.size`. */
  size?: ImageSize | undefined;
  settings: Settings;
  signal?: AbortSignal;
}

/** Opens a latent store that `ingest` wrote, or else a zip or folder of images. */
export function openReference(options: ReferenceOptions): Promise<Reference> {
  return isUrl(options.path) || existsSync(join(options.path, "store.json")) ? latentReference(options) : imageReference(options);
}

/** Images decoded as `ingest` does. */
async function imageReference({ path, settings, size = settings.images.size, signal }: ReferenceOptions): Promise<Reference> {
  const { background, maxPixels } = settings.images;
  const source = await openImages({ paths: [path], limits: settings.images, signal });
  const read = async function* (isChosen: Choice) {
    const wanted = source.images().pipe(through(filter(({ index }) => isChosen(index))), decode({ size, background, maxPixels }));
    for await (const item of iterate(wanted, { signal })) if (item.kind === "image") yield item;
  };
  return {
    size,
    available: source.entries,
    classes: source.classes,
    preparation: `${CROP_FILTER}, where not of this size`,
    omissions: omissionsInWords(source),
    all: () => read(() => true),
    draw: drawing({ entries: source.entries, seed: settings.seed }, read),
  };
}

/** Latents of a store decoded by its own codec: what is lost in encoding is lost here too. */
async function latentReference({ path, settings, signal }: ReferenceOptions): Promise<Reference> {
  const store = await openLatentStore({ folder: path });
  const { description, weights } = await readCodec(path);
  const { batch } = settings.encoder;
  const { imageSize: size, entries, classes } = store.manifest;

  const read = async function* (isChosen: Choice) {
    const codec = await startWorker<CodecWorker>({
      name: "image decoder",
      module: new URL("../workers/codec.ts", import.meta.url),
      remedy: "lower encoder.batch",
      options: { description, weights, batch, engine: settings.engine },
      signal,
    });
    const decoded = async function* (rows: LatentRow[]): AsyncGenerator<ReferencePicture> {
      const { pixels, notFinite } = await codec.call("decode", stacked(rows.map(({ latent }) => latent)));
      if (notFinite > 0) {
        throw new Failure(
          `Cannot compare with ${path}: ${notFinite} of ${rows.length} images hold values that are not finite when they are decoded. ` +
            "Ingest them with another encoder, or name the images themselves.",
        );
      }
      for (const [i, { label, caption }] of rows.entries()) {
        const picture = pixels.subarray(i * size * size * 3, (i + 1) * size * size * 3);
        yield { pixels: picture, label: label ?? undefined, caption: caption ?? undefined };
      }
    };
    try {
      let rows: LatentRow[] = [];
      for await (const row of readLatents(store)) {
        if (isChosen(row.index)) rows.push(row);
        if (rows.length < batch) continue;
        yield* decoded(rows);
        rows = [];
      }
      if (rows.length > 0) yield* decoded(rows);
    } finally {
      await codec.close();
    }
  };
  const draw = drawing({ entries, seed: settings.seed }, read);
  return { size, available: entries, classes, preparation: "decoded from latents", omissions: [], all: () => read(() => true), draw };
}

/** Whether the image of this index is wanted. */
type Choice = (index: number) => boolean;

/**
 * A draw over a source that can read a set of its entries, in its own order. Entries that it leaves out (rejected,
 * quarantined) are made up for by the next ones of the draw.
 */
function drawing(
  { entries, seed }: { entries: number; seed: number },
  read: (isChosen: Choice) => AsyncGenerator<ReferencePicture>,
): Reference["draw"] {
  const order = permutation({ seed, stream: "evaluate/reference", length: entries });
  let drawn = 0;
  return async function* (count) {
    let made = 0;
    while (made < count && drawn < entries) {
      const chosen = new Set(order.subarray(drawn, drawn + count - made));
      drawn += chosen.size;
      for await (const picture of read((index) => chosen.has(index))) {
        made++;
        yield picture;
      }
    }
  };
}
