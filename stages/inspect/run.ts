/** What a run folder holds, in words: its network, how far its training came, and what stands beside it. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { countWeights } from "../../engine/weights.ts";
import { type CodecDescription, isPixels } from "../../models/codecs/codecs.ts";
import type { DenoiserDescription, PerceptualDescription } from "../../schemas/model.ts";
import { numberInWords } from "../../schemas/words.ts";
import { namesIn } from "../../store/atomic.ts";
import { openWeights } from "../../models/weights/load.ts";

type Facts = Record<string, string | number>;

/** The folder's summary by name; undefined when it is no run at all. */
export async function describeRun(folder: string): Promise<Facts | undefined> {
  const facts: Facts = {
    ...(await describeModel(folder)),
    ...(await describeCodec(folder)),
    ...(await describeTraining(folder)),
  };
  return Object.keys(facts).length > 0 ? facts : undefined;
}

/** Of the trainings in the folder, the last line of each metrics file, and the newest checkpoint. */
async function describeTraining(folder: string): Promise<Facts> {
  const facts: Facts = {};
  const checkpoints = (await namesIn(folder)).filter((name) => /^checkpoint-\d+-/.test(name));
  if (checkpoints.length > 0) facts.checkpoint = `step ${Number(checkpoints.at(-1)!.split("-")[1])}`;
  const lines = existsSync(join(folder, "metrics.jsonl"))
    ? (await readFile(join(folder, "metrics.jsonl"), "utf8")).trimEnd().split("\n")
    : [];
  const last = lines.at(-1);
  if (last) {
    const metrics = JSON.parse(last) as Record<string, number>;
    facts.metrics = Object.entries(metrics)
      .map(([name, value]) => `${name} ${numberInWords(value)}`)
      .join("  ");
  }
  const pictures = (await namesIn(join(folder, "pictures"))).filter((name) => name.endsWith(".png"));
  if (pictures.length > 0) facts.pictures = `${pictures.length}, the last is ${join(folder, "pictures", pictures.at(-1)!)}`;
  if (facts.metrics && existsSync(join(folder, "settings.yaml"))) facts.settings = join(folder, "settings.yaml");
  return facts;
}

async function describeModel(folder: string): Promise<Facts> {
  const description = await readJson<DenoiserDescription | PerceptualDescription>(join(folder, "model.json"));
  if (!description) return {};
  return {
    role: description.role,
    ...(description.role !== "perceptual" && { network: networkInWords(description.spec) }),
    parameters: await parametersIn(join(folder, "weights.safetensors")),
    weights: description.hash,
  };
}

function networkInWords({ shape, network }: DenoiserDescription["spec"]): string {
  const { kind, width, depth, condition } = network;
  return `${kind}, width ${width}, depth ${depth}, latent ${shape.join(" x ")}, condition ${condition}`;
}

async function describeCodec(folder: string): Promise<Facts> {
  const description = await readJson<CodecDescription>(join(folder, "codec.json"));
  if (!description) return {};
  const { kind, imageSize, shape, hash } = description;
  return { codec: `${kind}, ${imageSize} px to ${shape.join(" x ")}${isPixels(kind) ? "" : `, ${hash}`}` };
}

async function parametersIn(path: string): Promise<number> {
  return countWeights((await openWeights(path)).tensors);
}

async function readJson<T>(path: string): Promise<T | undefined> {
  return existsSync(path) ? JSON.parse(await readFile(path, "utf8")) : undefined;
}
