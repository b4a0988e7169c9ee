/** Embeds texts in a worker, by the encoders of a published pipeline's folder. */
import { createEngine } from "../../engine/engine.ts";
import type { TextShape } from "../../schemas/embedding.ts";
import type { LoraRequest } from "../../schemas/model.ts";
import type { EngineSettings } from "../../schemas/settings.ts";
import { openTextEncoders } from "../published/text.ts";
import { deviceOf } from "./device.ts";

export interface TextOptions {
  folder: string;
  loras: readonly LoraRequest[] | undefined;
  lengths: readonly number[];
  shape: TextShape;
  negative: string | undefined;
  engine: EngineSettings;
}

/** The worker's methods; see engine/compute.ts. */
export async function create({ negative, engine: where, ...options }: TextOptions) {
  const encoders = await openTextEncoders({ ...options, engine: await createEngine(deviceOf(where)) });
  return {
    /** The embeddings of texts, a row each; of null that of the negative prompt. */
    embed: async (texts: readonly (string | null)[]): Promise<Float32Array[]> => {
      const rows: Float32Array[] = [];
      for (const text of texts) rows.push(await (text === null ? encoders.negative(negative) : encoders.embed(text)));
      return rows;
    },
  };
}

export type TextWorker = Awaited<ReturnType<typeof create>>;
