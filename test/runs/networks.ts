/** One network of each kind in a folder, as the program writes them: what a test changes, and how it is read again. */
import { hashWeights, type Weights } from "../../engine/weights.ts";
import { autoencoderConfig, initAutoencoder } from "../../models/codecs/autoencoder.ts";
import { initDenoiser } from "../../models/denoiser.ts";
import { initPerceptual, perceptualConfig } from "../../models/losses/perceptual.ts";
import { readCodec, readDenoiser, readPerceptual, writeCodec, writeModel } from "../../stages/runs/model.ts";
import { CAPTIONS, freshFolder, settingsOf, STATISTICS, writeRun } from "../simulate/fixture.ts";
import { klConfigOf, randomKl } from "../fixtures/kl.ts";
import { taesdIn, writeTaesd } from "../fixtures/taesd.ts";

export interface Written {
  folder: string;
  /** The description's file, and that of the weights beside it; a codec of pixels has none. */
  file: "model.json" | "codec.json";
  weights?: string;
  read: (folder: string) => Promise<{ description: object; weights: Weights }>;
}

const model = { file: "model.json", weights: "weights.safetensors" } as const;
const codec = { file: "codec.json", weights: "codec.safetensors", read: (folder: string) => readCodec(folder) } as const;

/** Writers of the networks by name. */
export const written: Record<string, () => Promise<Written>> = {
  "a teacher with captions": async () => ({
    ...model,
    folder: await writeRun({ condition: "caption" }),
    read: (folder) => readDenoiser(folder),
  }),
  "a student with classes": async () => {
    const folder = await writeRun({ role: "student" });
    const { description, weights } = await readDenoiser(folder);
    const sampler = { times: [80], between: "ode" as const, guidance: 1 };
    await writeModel(folder, { description: { ...description, sampler }, weights });
    return { ...model, folder, read: (of) => readDenoiser(of) };
  },
  "a U-Net": async () => {
    const settings = settingsOf({}, "none");
    const network = { ...settings.network, kind: "unet" as const, width: 8, multipliers: [1, 2], attentionLevels: [1] };
    const spec = { shape: [8, 8, 3] as [number, number, number], network, diffusion: settings.diffusion, classes: [], vocabulary: 0 };
    const weights = initDenoiser(spec, 1);
    const folder = freshFolder();
    const description = { role: "teacher" as const, hash: hashWeights(weights), spec, statistics: STATISTICS, captions: CAPTIONS };
    await writeModel(folder, { description, weights });
    return { ...model, folder, read: (of) => readDenoiser(of) };
  },
  "a perceptual network": async () => {
    const config = perceptualConfig({ shape: [8, 8, 3], width: 4, sigmaData: 0.5, classes: 2, words: ["cat", "dog"] });
    const weights = initPerceptual(config, 1);
    const folder = freshFolder();
    const description = {
      role: "perceptual" as const,
      hash: hashWeights(weights),
      config: { ...config, shape: [8, 8, 3] as [number, number, number], words: ["cat", "dog"] },
    };
    await writeModel(folder, { description, weights });
    return { ...model, folder, read: (of) => readPerceptual(of) };
  },
  "a codec of pixels": async () => {
    const folder = freshFolder();
    await writeCodec(folder, { description: { kind: "pixel", imageSize: 8, shape: [8, 8, 3], hash: "pixel" }, weights: {} });
    return { folder, file: "codec.json", read: codec.read };
  },
  "an autoencoder": async () => {
    const config = autoencoderConfig({ channels: 2, downsample: 4, width: 8, perceptualWeight: 0.5, boundWeight: 1e-4 });
    const weights = initAutoencoder(config, 1);
    const folder = freshFolder();
    await writeCodec(folder, {
      description: { kind: "autoencoder", imageSize: 16, shape: [4, 4, 2], hash: hashWeights(weights), config },
      weights,
    });
    return { ...codec, folder };
  },
  "a TAESD": async () => {
    const { config, weights } = await taesdIn(writeTaesd(freshFolder()));
    const folder = freshFolder();
    await writeCodec(folder, {
      description: { kind: "taesd", imageSize: 16, shape: [2, 2, 4], hash: hashWeights(weights), config },
      weights,
    });
    return { ...codec, folder };
  },
  "an AutoencoderKL": async () => {
    const config = klConfigOf();
    const weights = randomKl(config);
    const folder = freshFolder();
    await writeCodec(folder, {
      description: { kind: "kl", imageSize: 16, shape: [8, 8, 3], hash: hashWeights(weights), config },
      weights,
    });
    return { ...codec, folder };
  },
};
