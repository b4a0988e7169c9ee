/** How a denoiser of a folder takes its conditions, with what embeds texts for it where it is a published one. */
import { type Conditions, createConditions } from "../../models/conditions.ts";
import type { DenoiserDescription } from "../../schemas/model.ts";
import type { EngineSettings } from "../../schemas/settings.ts";
import { openEmbedder, type TextChoice } from "./embedder.ts";

export interface OpenConditions extends Conditions {
  /** Ends what embeds texts. */
  close: () => Promise<void>;
}

/** The conditions of a teacher or student; whoever opens them closes them. */
export function openConditions(options: {
  description: DenoiserDescription;
  /** Settings that texts are embedded by: those of `simulate`. */
  choice: TextChoice;
  engine: EngineSettings;
  signal: AbortSignal | undefined;
}): OpenConditions {
  const { spec, tokenizer } = options.description;
  const embedder = openEmbedder(options);
  return {
    ...createConditions({ spec, ...(tokenizer && { tokenizer }), ...(embedder && { embed: embedder.embed }) }),
    close: async () => embedder?.close(),
  };
}
