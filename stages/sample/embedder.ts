/** Texts embedded by a published pipeline's own encoders, which work in a thread of theirs from the first text on. */
import { existsSync } from "node:fs";
import type { Compute } from "../../engine/compute.ts";
import type { Embed } from "../../models/conditions.ts";
import { textShapeOf } from "../../models/families/published.ts";
import { embeddingSize, type TextShape } from "../../schemas/embedding.ts";
import { Failure } from "../../schemas/failure.ts";
import type { DenoiserDescription, LoraRequest } from "../../schemas/model.ts";
import type { EngineSettings, SimulateSettings, TextSettings } from "../../schemas/settings.ts";
import { readTextSettings } from "../published/text-files.ts";
import { startWorker } from "../workers/start.ts";
import type { TextWorker } from "../workers/text.ts";

/** What texts are embedded by, beside the encoders: the negative prompt, and where the encoders are now. */
export type TextChoice = Pick<SimulateSettings, "negative" | "textEncoders">;

export interface Embedder {
  /** An empty caption, like none, is the negative prompt. */
  embed: Embed;
  close: () => Promise<void>;
}

/** Embeddings kept for the next time, in bytes. */
const KEPT = 512 * 2 ** 20;
/** Texts of one call of the worker. */
const AT_ONCE = 16;

/**
 * An embedder for a denoiser; undefined for one that reads no texts embedded outside of it. Asking it throws a Failure where the folder of
 * the encoders is gone, or holds others than the denoiser's.
 */
export function openEmbedder(options: {
  description: Pick<DenoiserDescription, "spec" | "textEncoders" | "textLoras">;
  choice: TextChoice;
  /** The negative prompt's embedding, where a store keeps it. */
  negative?: Float32Array | undefined;
  engine: EngineSettings;
  signal: AbortSignal | undefined;
}): Embedder | undefined {
  const { description, choice, negative, engine, signal } = options;
  const shape = textShapeOf(description.spec);
  const { text } = description.spec.network;
  if (!shape || !text) return undefined;
  const folder = choice.textEncoders ?? description.textEncoders;
  const loras = description.textLoras;
  const start = async (): Promise<Compute<TextWorker>> => {
    await checkEncoders({ folder, loras, text });
    return startWorker<TextWorker>({
      name: "text encoders",
      module: new URL("../workers/text.ts", import.meta.url),
      remedy: "embed the prompts on a machine with more memory: simulate --set simulate.embeddings=stored",
      options: { folder, loras, lengths: text.lengths, shape, negative: choice.negative, engine },
      signal,
    });
  };
  let started: Promise<Compute<TextWorker>> | undefined;
  const known = keptBytes(KEPT, shape);
  return {
    embed: async (captions) => {
      const texts = captions.map((caption) => caption || null);
      const rows = new Map<string | null, Float32Array>();
      for (const text of new Set(texts)) {
        const row = text === null && negative ? negative : known.get(text);
        if (row) rows.set(text, row);
      }
      const wanted = [...new Set(texts)].filter((text) => !rows.has(text));
      for (let from = 0; from < wanted.length; from += AT_ONCE) {
        const part = wanted.slice(from, from + AT_ONCE);
        const made = await (await (started ??= start())).call("embed", part);
        part.forEach((text, i) => {
          rows.set(text, made[i] as Float32Array);
          known.set(text, made[i] as Float32Array);
        });
      }
      return texts.map((text) => rows.get(text) as Float32Array);
    },
    close: async () => (await started?.catch(() => undefined))?.close(),
  };
}

/** Throws a Failure where the folder is not the one whose encoders a denoiser was made with, and its copy neither. */
async function checkEncoders(options: {
  folder: string | undefined;
  loras: readonly LoraRequest[] | undefined;
  text: TextSettings;
}): Promise<void> {
  const { folder, loras, text } = options;
  const { pipeline, hash } = text;
  const remedy = "Name a copy of the pipeline with --set simulate.textEncoders=FOLDER, or put it back.";
  if (folder === undefined || !existsSync(folder)) {
    throw new Failure(`Cannot embed texts: the text encoders of the ${pipeline} are not at ${folder ?? "any known place"}. ${remedy}`);
  }
  if ((await readTextSettings(folder, { loras })).hash === hash) return;
  throw new Failure(
    `Cannot embed texts by ${folder}: its text encoders, tokenizers or LoRAs are not those that the model was made with. ${remedy}`,
  );
}

/** The rows asked for last, of so many bytes at most. */
function keptBytes(bytes: number, shape: TextShape) {
  const most = Math.max(1, Math.floor(bytes / (4 * embeddingSize(shape))));
  const rows = new Map<string | null, Float32Array>(); // the one asked for last is the last
  return {
    get: (text: string | null): Float32Array | undefined => {
      const row = rows.get(text);
      if (row) {
        rows.delete(text);
        rows.set(text, row);
      }
      return row;
    },
    set: (text: string | null, row: Float32Array): void => {
      rows.set(text, row);
      const [oldest] = rows.keys();
      if (rows.size > most) rows.delete(oldest as string | null);
    },
  };
}
