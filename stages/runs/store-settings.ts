/** What stands beside the shards of a store, so that the folder explains itself: codec, settings, what was left out, their hashes. */
import type { DenoiserSpec } from "../../models/denoiser.ts";
import { solverFor } from "../../models/diffusion/plan-schedule.ts";
import type { Context } from "../../schemas/events.ts";
import { Failure, isFailure } from "../../schemas/failure.ts";
import { type LeftOut, leftOutText } from "../../schemas/left-out.ts";
import { differences } from "../../schemas/manifest.ts";
import { settingsText } from "./settings-file.ts";
import type { Settings } from "../../schemas/settings.ts";
import { type Codec, type ImageTokenizer, readCodecDescription, writeCodec, writeStoresTokenizer } from "./model.ts";
import { filesAt } from "../../store/places/files.ts";
import { within } from "../../store/places/place.ts";
import { examineDescriptions, writeChecksums } from "../../store/records/checksums.ts";
import { writeNegative } from "./negative.ts";

/** The settings that a latent store may depend on: what stands in its settings.yaml. */
export function latentSettings({ seed, images, encoder, store, engine }: Settings): object {
  return { seed, images, encoder, ...formatIn(store), engine: { device: engine.device, precision: engine.precision } };
}

/** Nothing of the usual format of shards: such stores have the bytes that they had before there was another. */
const formatIn = (store: Settings["store"]): { store?: object } => (store.format === "parquet" ? {} : { store });

/** The same of a triple store, whose teacher decides network and diffusion, and the solver where nobody has; not who made it. */
export function tripleSettings(settings: Settings, spec: Pick<DenoiserSpec, "network" | "diffusion">): object {
  const { seed, images, encoder, store, engine } = settings;
  const { network, diffusion } = spec;
  const device = { device: engine.device, precision: engine.precision };
  const { workers: _workers, lead: _lead, keep: _keep, ...rest } = settings.simulate; // of how it was made, which no row tells
  const simulate = { ...rest, solver: solverFor(rest.solver, diffusion) };
  return { seed, images, encoder, network, diffusion, simulate, ...formatIn(store), engine: device };
}

/**
 * Writes codec and settings into a store's folder with their hashes; of a listing also what was left out of it. Sound ones of
 * the same codec stay as they are, of whichever version. Processes that do this at once end with files that agree. Throws a
 * Failure where sound ones are of another codec: what the store holds was made by that.
 */
export async function writeDescriptions(options: {
  folder: string;
  codec: Codec;
  settings: object;
  context: Pick<Context, "lasting">;
  leftOut?: LeftOut[];
  /** Of tokens: what made them. */
  tokenizer?: ImageTokenizer;
  /** Of triples that keep embeddings: makes the negative prompt's. */
  negative?: (() => Promise<Float32Array>) | undefined;
}): Promise<void> {
  const { folder, codec, settings, context, leftOut, tokenizer, negative } = options;
  for (let tries = 1; !(await areSound(folder, codec)); tries++) {
    if (tries > TRIES)
      throw new Failure(`Cannot describe the store ${folder}: what is written is not what is read back. Look at its disk.`);
    await writeCodec(folder, codec);
    if (tokenizer) await writeStoresTokenizer(folder, tokenizer);
    if (negative) await writeNegative(folder, await negative());
    await filesAt(folder).replace(within(folder, "settings.yaml"), settingsText(settings, context));
    if (leftOut) await filesAt(folder).replace(within(folder, "left-out.json"), leftOutText(leftOut));
    await writeChecksums(folder);
  }
}

/** More often than that no two processes that write at once cross each other. */
const TRIES = 20;

async function areSound(folder: string, { description }: Codec): Promise<boolean> {
  const problems = await examineDescriptions(folder);
  if (problems === undefined || problems.length > 0) return false;
  const found = await readCodecDescription(folder).catch((error) => {
    if (!isFailure(error)) throw error; // a disk that cannot be read is no missing file
  });
  if (!found) return false; // it is written anew
  const differing = differences(found, description);
  if (differing.length === 0) return true;
  throw new Failure(
    `Cannot go on with the store ${folder}: it was made with another codec (${differing.join("; ")}). Choose another folder, or name ` +
      "the teacher that made it, as it was.",
  );
}
