/** What a method is told of the networks that a student's training is about. */
import type { Needs, Subject } from "../../../methods/method.ts";
import type { Settings } from "../../../schemas/settings.ts";
import { normalisedMoments } from "../../../store/records/statistics.ts";
import type { Codec, Denoiser } from "../../runs/model.ts";
import type { frozenOf } from "./given.ts";

/** The networks that a student's training is about; `student` is its specification, `trajectory` has the levels of stored states. */
export function subjectOf(options: {
  teacher: Pick<Denoiser["description"], "spec" | "statistics">;
  student: Denoiser["description"]["spec"];
  needs: Needs;
  frozen: Awaited<ReturnType<typeof frozenOf>>;
  codec: Codec["description"];
  trajectory: readonly number[] | undefined;
  settings: Settings;
}): Subject {
  const { teacher, student, needs, frozen, codec, trajectory, settings } = options;
  const { spec, statistics } = teacher;
  return {
    spec,
    plan: settings.simulate,
    moments: normalisedMoments(statistics, spec.diffusion.sigmaData),
    ...(student !== spec && { student }),
    ...(needs.trajectory && trajectory && { trajectory }),
    ...(frozen.perceptual && { perceptual: frozen.perceptual.description.config }),
    ...(frozen.weights.codec && { codec, statistics }),
    ...(frozen.features && { features: frozen.features }),
    ...(frozen.tokenizer && { imageTokenizer: frozen.tokenizer.config }),
  };
}
