/** What a run folder holds, in words: its network, how far its training came, and what stands beside it. */
import { existsSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { countWeights } from "../../engine/weights.ts";
import { isPixels } from "../../models/codecs/codecs.ts";
import { classOf } from "../../models/published/folder.ts";
import { samplerInWords } from "../../models/diffusion/sampler-plan.ts";
import { sizeInWords } from "../../schemas/images.ts";
import { parsedJson } from "../../schemas/json.ts";
import { Failure, isFailure } from "../../schemas/failure.ts";
import { samplerDescription } from "../../schemas/model.ts";
import { numberInWords } from "../../schemas/words.ts";
import { namesIn } from "../../store/places/atomic.ts";
import { openWeights } from "../../models/weights/load.ts";
import { loraFile, readLora } from "../runs/lora.ts";
import { mergeRecipeOf, recipeInWords } from "../runs/merged.ts";

type Facts = Record<string, string | number>;

/** What is told of a network and of a codec; whoever builds them reads the rest. */
const shape = z.array(z.number());
const network = z.looseObject({
  kind: z.string(),
  width: z.number(),
  depth: z.number(),
  condition: z.string(),
  published: z.looseObject({}).optional(),
});
const described = { hash: z.string(), spec: z.looseObject({ shape, network }) };
const modelFacts = z.discriminatedUnion("role", [
  z.looseObject({ role: z.enum(["teacher", "student"]), ...described, sampler: samplerDescription.optional() }),
  z.looseObject({ role: z.literal("perceptual"), hash: z.string() }),
  z.looseObject({
    role: z.literal("tokenizer"),
    hash: z.string(),
    config: z.looseObject({ shape, downsample: z.number(), codes: z.number(), dimension: z.number(), width: z.number() }),
  }),
  z.looseObject({
    role: z.literal("prior"),
    hash: z.string(),
    spec: z.looseObject({ grid: shape, codes: z.number(), network: network.omit({ kind: true }) }),
    sampler: z.looseObject({ guidance: z.number(), topK: z.number(), temperature: z.number() }),
  }),
]);
const codecFacts = z.looseObject({
  kind: z.string(),
  imageSize: z.union([z.number(), z.tuple([z.number(), z.number()])]),
  shape,
  hash: z.string(),
});
const metrics = z.record(z.string(), z.unknown());

/** The folder's summary by name, and a sentence for each part that is damaged; undefined when it is no run at all. */
export async function describeRun(folder: string): Promise<{ facts: Facts; problems: string[] } | undefined> {
  const facts: Facts = {};
  const problems: string[] = [];
  for (const describe of [describeModel, describeWeights, describeOrigin, describeCodec, describeTraining]) {
    try {
      Object.assign(facts, await describe(folder));
    } catch (error) {
      if (!isFailure(error)) throw error;
      problems.push(error.message);
    }
  }
  return Object.keys(facts).length + problems.length > 0 ? { facts, problems } : undefined;
}

/** Of the trainings in the folder, the last line of each metrics file, and the newest checkpoint. */
async function describeTraining(folder: string): Promise<Facts> {
  const facts: Facts = {};
  const checkpoints = (await namesIn(folder)).filter((name) => /^checkpoint-\d+-/.test(name));
  if (checkpoints.length > 0) facts.checkpoint = `step ${Number(checkpoints.at(-1)!.split("-")[1])}`;
  const last = existsSync(join(folder, "metrics.jsonl")) ? await lastLine(join(folder, "metrics.jsonl")) : undefined;
  if (last) {
    facts.metrics = Object.entries(last)
      .map(([name, value]) => `${name} ${typeof value === "number" ? numberInWords(value) : JSON.stringify(value)}`)
      .join("  ");
  }
  const pictures = (await namesIn(join(folder, "pictures"))).filter((name) => name.endsWith(".png"));
  if (pictures.length > 0) facts.pictures = `${pictures.length}, the last is ${join(folder, "pictures", pictures.at(-1)!)}`;
  if (facts.metrics && existsSync(join(folder, "settings.yaml"))) facts.settings = join(folder, "settings.yaml");
  return facts;
}

const tail = 2 ** 16; // bytes: many lines, of a file that grows with every step

/** The last line that is whole: a kill, or a training that goes on, may leave a torn one behind it. */
async function lastLine(path: string): Promise<z.infer<typeof metrics> | undefined> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const buffer = Buffer.alloc(Math.min(size, tail));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, size - buffer.length);
    const lines = buffer.toString("utf8", 0, bytesRead).split("\n");
    for (const line of lines.reverse()) {
      const { data } = metrics.safeParse(parsedJson(line));
      if (data && Object.keys(data).length > 0) return data;
    }
  } finally {
    await file.close();
  }
  return undefined;
}

async function describeModel(folder: string): Promise<Facts> {
  const model = await readFacts(join(folder, "model.json"), modelFacts);
  if (!model) return {};
  if (model.role === "perceptual") return { role: model.role, weights: model.hash };
  if (model.role === "tokenizer") {
    const { shape, downsample, codes, dimension, width } = model.config;
    const grid = shape.slice(0, 2).map((side) => side / downsample);
    const words = `width ${width}, latent ${shape.join(" x ")} to ${grid.join(" x ")} tokens of ${codes} codes in ${dimension} dimensions`;
    return { role: model.role, network: words, weights: model.hash };
  }
  if (model.role === "prior") {
    const { grid, codes, network } = model.spec;
    const { guidance, topK, temperature } = model.sampler;
    const { width, depth, condition } = network;
    const words = `width ${width}, depth ${depth}, ${grid.join(" x ")} tokens of ${codes} codes, condition ${condition}`;
    const sampling = `guidance ${guidance}, ${topK > 0 ? `the ${topK} likeliest` : "all codes"}, temperature ${temperature}`;
    return { role: model.role, network: words, sampling, weights: model.hash };
  }
  const { shape, network } = model.spec;
  const { kind, width, depth, condition } = network;
  const twice = network.stack === 2 ? ", two in series" : "";
  const sizes = network.published ? classOf(network.published) : `${kind}${twice}, width ${width}, depth ${depth}`;
  const words = `${sizes}, latent ${shape.join(" x ")}, condition ${condition}`;
  return { role: model.role, network: words, sampling: samplerInWords(model), weights: model.hash };
}

async function describeWeights(folder: string): Promise<Facts> {
  if (!existsSync(join(folder, "model.json"))) return {};
  return { parameters: countWeights((await openWeights(join(folder, "weights.safetensors"))).tensors) };
}

/** What the network was added up of, and the LoRA that stands apart beside it. */
async function describeOrigin(folder: string): Promise<Facts> {
  const recipe = await mergeRecipeOf(folder);
  const sum: Facts = recipe ? { "sum of": recipeInWords(recipe) } : {};
  if (!existsSync(join(folder, loraFile))) return sum;
  const { rank, alpha, base, trained } = await readLora(folder);
  const words = `rank ${rank}, alpha ${alpha}, ${countWeights(trained)} parameters over weights ${base.slice(0, 12)}`;
  return { ...sum, lora: words };
}

async function describeCodec(folder: string): Promise<Facts> {
  const codec = await readFacts(join(folder, "codec.json"), codecFacts);
  if (!codec) return {};
  const { kind, imageSize, shape, hash } = codec;
  return { codec: `${kind}, ${sizeInWords(imageSize)} to ${shape.join(" x ")}${isPixels(kind) ? "" : `, ${hash}`}` };
}

/** A description in JSON, or undefined where there is none. Throws a Failure where it is damaged. */
async function readFacts<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  if (!existsSync(path)) return undefined;
  const result = schema.safeParse(parsedJson(await readFile(path, "utf8")));
  if (result.success) return result.data;
  const { path: key, message } = result.error.issues[0]!;
  const reason = key.length === 0 ? "it is no JSON that describes one" : `${key.join(".")}: ${message}`;
  throw new Failure(`Cannot read ${path}: ${reason}. Put the file back, or repeat the command that made the folder.`);
}
