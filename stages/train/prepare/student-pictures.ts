/** What there is to see of a student on its way. */
import type { Conditions } from "../../../models/conditions.ts";
import { noiseFor } from "../../../models/diffusion/sample-noise.ts";
import type { SamplerPlan } from "../../../models/diffusion/sampler-plan.ts";
import type { SamplerInputs } from "../../../models/diffusion/sampling.ts";
import type { Context } from "../../../schemas/events.ts";
import type { LatentManifest, TripleManifest } from "../../../schemas/manifest.ts";
import { stacked } from "../../../store/rows/latents.ts";
import type { Store } from "../../../store/shards/store.ts";
import type { Denoiser } from "../../runs/model.ts";
import type { Codes } from "../../sample/codes.ts";
import type { PictureDecoder } from "../../sample/picture-decoder.ts";
import { besideTeacher, reconstructions, samples } from "../pictures.ts";
import type { Training } from "../training.ts";
import { imageRows } from "../reference-rows.ts";

/** Images of a grid that shows what becomes of each, and samples of one that shows nothing else. */
const RECONSTRUCTED = 16;
const SAMPLED = 64;

/**
 * Images beside what their tokens become, where the student draws from codes; the student's samples beneath its teacher's, where there
 * are triples; its samples alone otherwise.
 */
export function studentPictures(options: {
  codes?: Codes | undefined;
  images?: Store<LatentManifest> | undefined;
  triples?: Store<TripleManifest> | undefined;
  /** The teacher's. */
  description: Denoiser["description"];
  /** Captions of the samples. */
  captions: readonly string[];
  plan: SamplerPlan;
  conditions: Conditions;
  decoder: PictureDecoder;
  seed: number;
  folder: string;
  context: Context;
}): NonNullable<Training<unknown>["picture"]> {
  const { codes, images, triples, description, captions, plan, conditions, decoder, seed, folder, context } = options;
  const { spec } = description;
  if (codes && images) {
    const rows = Math.min(RECONSTRUCTED, images.manifest.entries);
    return reconstructions({
      codes,
      decoder,
      folder,
      rows,
      latents: async () => stacked((await imageRows(images, description, context)).slice(0, rows).map(({ latent }) => latent)),
      noise: noiseFor({ seed, stream: "pictures", rows, spec, plan }),
    });
  }
  if (triples) return besideTeacher({ triples, conditions, plan, seed, decoder, folder, context });
  return samples({ inputs: () => sampleInputs({ spec, captions, plan, conditions, seed }), decoder, folder });
}

/** Noise and conditions of the pictures on the way, where no triples lend theirs. */
async function sampleInputs(
  options: Pick<Denoiser["description"], "spec"> & {
    captions: readonly string[];
    plan: SamplerPlan;
    conditions: Conditions;
    seed: number;
  },
): Promise<SamplerInputs> {
  const { captions, conditions, seed } = options;
  const rows = SAMPLED;
  return {
    ...noiseFor({ ...options, stream: "pictures", rows }),
    rows,
    conditions: await conditions.inputs(conditions.spread(rows, captions, seed)),
  };
}
