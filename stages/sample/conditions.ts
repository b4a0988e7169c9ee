/** How a denoiser of a folder takes its conditions, with what embeds texts for it where it is a published one. */
import { type Conditions, createConditions, type Embed } from "../../models/conditions.ts";
import type { DenoiserDescription } from "../../schemas/model.ts";
import type { EngineSettings } from "../../schemas/settings.ts";
import { openEmbedder, type TextChoice } from "./embedder.ts";

export interface OpenConditions extends Conditions {
  /** What embeds texts, for whoever keeps them embedded. */
  embed?: Embed;
  /** Ends what embeds texts. */
  close: () => Promise<void>;
}

/** The conditions of a teacher or student; whoever opens them closes them. */
export function openConditions(options: {
  description: DenoiserDescription;
  /** Settings that texts are embedded by: those of `simulate`. */
  choice: TextChoice;
  /** The negative prompt's embedding, where a store keeps it. */
  negative?: Float32Array | undefined;
  engine: EngineSettings;
  signal: AbortSignal | undefined;
}): OpenConditions {
  const { spec, tokenizer } = options.description;
  const embedder = openEmbedder(options);
  const embed = embedder && { embed: embedder.embed };
  return {
    ...createConditions({ spec, ...(tokenizer && { tokenizer }), ...embed }),
    ...embed,
    close: async () => embedder?.close(),
  };
}
