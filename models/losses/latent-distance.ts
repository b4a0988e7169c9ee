/** The perceptual distance of latents that methods take, by whichever frozen network is given to look through. */
import type { Tensor } from "../../engine/tfjs.ts";
import type { DenoiserSpec } from "../denoiser.ts";
import type { Parameters } from "../layers.ts";
import { eLatentLpips, featureDistance, featureDistances } from "./elatentlpips.ts";
import { type PerceptualConfig, perceptualTaps } from "./perceptual.ts";
import { teacherFeatures } from "./teacher-features.ts";

export interface LatentDistance {
  /** The frozen network whose features are compared: the perceptual one, or where there is none the teacher. */
  role: "perceptual" | "teacher";
  /** Distance of latents a and b [b, h, w, c], a scalar: `read` are that network's parameters, `draws` the random transforms. */
  between: (a: Tensor, b: Tensor, read: Parameters, draws?: Tensor) => Tensor;
  /** The same of each row, [b]. */
  rows: (a: Tensor, b: Tensor, read: Parameters, draws?: Tensor) => Tensor;
}

/** E-LatentLPIPS by the perceptual network, or the same distance of the frozen teacher's features (docs/METHODS.md 1.3). */
export function latentDistance({ spec, perceptual }: { spec: DenoiserSpec; perceptual?: PerceptualConfig }): LatentDistance {
  const features = (read: Parameters) => (latents: Tensor) =>
    perceptual ? perceptualTaps(perceptual, read, latents) : teacherFeatures(spec, read, latents);
  const rows: LatentDistance["rows"] = (a, b, read, draws) => featureDistances({ features: features(read), a, b, draws });
  if (perceptual) {
    const between: LatentDistance["between"] = (a, b, parameters, draws) => eLatentLpips({ config: perceptual, parameters, a, b, draws });
    return { role: "perceptual", rows, between };
  }
  const between: LatentDistance["between"] = (a, b, read, draws) => featureDistance({ features: features(read), a, b, draws });
  return { role: "teacher", rows, between };
}
