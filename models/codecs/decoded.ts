/** The frozen codec inside a loss: images of the latents that a denoiser makes, through which gradients flow. */
import { type Tensor, tf } from "../../engine/tfjs.ts";
import type { Statistics } from "../../store/records/statistics.ts";
import type { Parameters } from "../layers.ts";
import { type CodecDescription, codecFunctions } from "./codecs.ts";

/**
 * Normalised latents [b, h, w, c] to images [b, H, W, 3], about [-1, 1] and not clamped: the normalisation to mean 0 and
 * standard deviation `sigmaData` is undone, then the codec decodes. `parameters` are the codec's (role "codec"); pixels,
 * which are their own latents, need none.
 */
export function decodedImages(options: {
  codec: Pick<CodecDescription, "kind" | "config">;
  statistics: Pick<Statistics, "mean" | "std">;
  sigmaData: number;
}): (parameters: Parameters, latents: Tensor) => Tensor {
  const { codec, statistics, sigmaData } = options;
  const decode = codecFunctions(codec)?.decode;
  const scale = statistics.std.map((std) => (std > 0 ? std / sigmaData : 1)); // a constant channel was only shifted
  return (parameters, latents) => {
    const raw = tf.add(tf.mul(latents, tf.tensor1d(scale)), tf.tensor1d(statistics.mean));
    return decode ? decode(parameters, raw) : raw;
  };
}
