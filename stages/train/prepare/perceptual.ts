/** A perceptual network, trained on labels and caption words: a classifier whose features losses compare. */
import { hashWeights } from "../../../engine/weights.ts";
import { perceptualConfig } from "../../../models/losses/perceptual.ts";
import { frequentWords, perceptualTargets } from "../../../models/text/word-targets.ts";
import { Failure } from "../../../schemas/failure.ts";
import { writeModel } from "../../runs/model.ts";
import { latentRows } from "../rows.ts";
import type { Training } from "../training.ts";
import { captionsOf, type Pretraining, trainingOn } from "./pretraining.ts";

/** Prepares a perceptual network. Throws a Failure where the images have neither classes nor captions. */
export async function preparePerceptual(pretraining: Pretraining): Promise<Training<void>> {
  const { store, summary, data, out, own, settings } = pretraining;
  const { sigmaData } = settings.diffusion;
  const { classes, shape } = store.manifest;
  const words = frequentWords(await captionsOf(store));
  if (classes.length === 0 && words.length === 0) {
    throw new Failure(`Cannot train a perceptual network on ${data}: its images have neither classes nor captions to learn from.`);
  }
  const { width } = own as { width: number };
  const config = perceptualConfig({ shape, width, sigmaData, classes: classes.length, words });
  const conditions = {
    inputs: async ({ label, caption }: { label: Int32Array; caption: (string | null)[] }) => {
      const captions = caption.map((text) => text ?? "");
      return { targets: perceptualTargets({ classes: classes.length, words, labels: label, captions }) };
    },
  };
  return {
    ...trainingOn(pretraining, {
      subject: { perceptual: config },
      rows: (order) => latentRows({ store, conditions, scale: { statistics: summary.statistics, sigmaData }, order }),
    }),
    write: (weights) =>
      writeModel(out, {
        description: { role: "perceptual", hash: hashWeights(weights), config: { ...config, shape, words } },
        weights,
      }),
    close: async () => {},
  };
}
