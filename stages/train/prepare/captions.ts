/** The captions that belong to a student: those it learns under where no store lends them, and those its description keeps. */
import type { DenoiserDescription } from "../../../schemas/model.ts";
import type { TripleManifest } from "../../../schemas/manifest.ts";
import type { SimulateSettings } from "../../../schemas/settings.ts";
import { textHash } from "../../../store/places/hash.ts";
import type { Store } from "../../../store/shards/store.ts";
import { readTriples } from "../../../store/rows/triples.ts";
import { readPrompts } from "../../simulate/prompts.ts";
import { representative } from "./teacher.ts";

/** Captions that a model.json keeps at most. */
const KEPT = 4096;

export interface StudentCaptions {
  /** To look at on the way. */
  shown: string[];
  /** What samples are drawn of where nobody says: the teacher's; where it has none, the prompts, or the first of the store. */
  kept: () => Promise<string[]>;
  /** A hash of the prompts and the negative one; undefined of a teacher that is not published with text encoders. */
  identity: string | undefined;
}

/** Reads what there is of them. `triples` may still be growing until `kept` is asked. */
export async function studentCaptions(options: {
  teacher: DenoiserDescription;
  triples: Store<TripleManifest> | undefined;
  asked: Pick<SimulateSettings, "prompts" | "negative">;
}): Promise<StudentCaptions> {
  const { teacher, triples, asked } = options;
  if (!teacher.spec.network.text) return { shown: teacher.captions, kept: async () => teacher.captions, identity: undefined };
  const prompts = asked.prompts === undefined || triples ? [] : await readPrompts(asked.prompts);
  return {
    shown: prompts,
    kept: async () => {
      const rows = triples ? await readTriples(triples, 0) : [];
      return representative([...prompts, ...rows.flatMap(({ caption }) => caption ?? [])], KEPT);
    },
    identity: textHash(JSON.stringify([prompts, asked.negative ?? null])),
  };
}
