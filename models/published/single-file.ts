/**
 * Stable Diffusion in one safetensors file, as the code that trained it writes it and collections of models share it: opened as the
 * parts that a pipeline's folder has. Only the header is read until a part is asked for.
 */
import { statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { type Shapes, shapesAlone, type Weights, type WeightsHash } from "../../engine/weights.ts";
import { Failure } from "../../schemas/failure.ts";
import { absent } from "../../schemas/system-error.ts";
import { openWeights } from "../weights/load.ts";
import { type Asked, readAhead } from "../weights/read-ahead.ts";
import type { StoredTensor } from "../weights/stored.ts";
import { inOurLayout, PICKLES } from "./folder.ts";
import { originalConfigs, originalSchedule, type Prediction } from "./original-configs.ts";
import { fromOriginal, type Origin, type OriginalKind, type OriginalPart, originalKind, originsOf, placesOf } from "./original-names.ts";
import type { TorchNames } from "./torch.ts";

export interface SingleFile {
  path: string;
  kind: OriginalKind;
  /** The class in diffusers that such a file is of. */
  pipeline: string;
  parts: ReadonlyMap<OriginalPart, SinglePart>;
  /** Its scheduler_config.json. Throws a Failure for SD 2 where no prediction was given. */
  schedule: () => Record<string, unknown>;
}

/** A part of the file, before its tensors are read. */
export interface SinglePart {
  /** As its config.json would say. */
  config: Record<string, unknown>;
  /** By their names in the file. */
  stored: Readonly<Record<string, StoredTensor>>;
  origins: readonly Origin[];
}

/** What the weights of a file cannot tell. */
interface Untold {
  /** What the U-Net predicts; SD 2 was published both ways. Else it is read from the YAML file that such collections put beside it. */
  prediction?: Prediction;
  /** Values of configs that are not as published, by part: heads, groups of norms. */
  configs?: Partial<Record<OriginalPart, Record<string, unknown>>>;
}

/** Whether a path is a file of weights, one that is a pickle among them: {@link openSingleFile} refuses that. */
export function isSingleFile(path: string): boolean {
  return (path.endsWith(".safetensors") || PICKLES.test(path)) && statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/** Opens a file. Throws a Failure where it is a pickle, or not one of the three kinds: it says what it is instead. */
export async function openSingleFile(path: string, { prediction: said, configs = {} }: Untold = {}): Promise<SingleFile> {
  if (PICKLES.test(path))
    throw new Failure(
      `Cannot use ${path}: it is a pickle, which can run anything. Where you trust it, make a folder of it with diffusers in Python, ` +
        `StableDiffusionPipeline.from_single_file("${basename(path)}").save_pretrained("FOLDER"), and use that.`,
    );
  const prediction = said ?? (await predictionBeside(path));
  const { tensors } = await openWeights(path);
  const kind = originalKind(Object.keys(tensors), path);
  const origins = originsOf(kind, tensors, path);
  const shapes: Partial<Record<OriginalPart, Shapes>> = {};
  for (const origin of origins) {
    const own = (shapes[origin.part] ??= {}) as Record<string, Shapes[string]>;
    for (const [name, shape] of placesOf(origin, (tensors[origin.name] as StoredTensor).shape)) own[name] = { shape };
  }
  const told = originalConfigs({ kind, shapes, prediction, file: path });
  const parts = (Object.keys(shapes) as OriginalPart[]).map((part): [OriginalPart, SinglePart] => {
    const own = origins.filter((origin) => origin.part === part);
    const stored = Object.fromEntries(own.map(({ name }) => [name, tensors[name] as StoredTensor]));
    return [part, { config: { ...told[part], ...configs[part] }, stored, origins: own }];
  });
  return {
    path,
    kind,
    pipeline: kind === "sdxl" ? "StableDiffusionXLPipeline" : "StableDiffusionPipeline",
    parts: new Map(parts),
    schedule: () => originalSchedule(kind, prediction, path),
  };
}

/** What the config of the original code says that the U-Net predicts, where it lies beside the file: MODEL.yaml. */
async function predictionBeside(path: string): Promise<Prediction | undefined> {
  const text = await readFile(path.replace(/\.safetensors$/, ".yaml"), "utf8").catch(absent);
  const [, name] = /^\s*parameterization:\s*["']?(\w+)/m.exec(text ?? "") ?? [];
  return text === undefined ? undefined : name === "v" ? "v_prediction" : "epsilon"; // its default
}

/** A part of the file: its config, and its weights by our names, which may be asked for without elements. */
export function singlePart(
  single: SingleFile,
  part: OriginalPart,
): {
  file: string;
  json: object;
  read: (names: TorchNames, hash?: WeightsHash) => Promise<Weights>;
  shapes: (names: TorchNames) => Promise<Weights>;
} {
  const { config, stored, origins } = single.parts.get(part) as SinglePart;
  const file = `${single.path} (${part})`;
  async function read(names: TorchNames, hash?: WeightsHash): Promise<Weights> {
    const { today = (name: string) => name } = names;
    const asked = origins
      .filter((origin) => origin.names.some((name) => today(name) !== undefined))
      .map((origin): Asked => [origin.name, stored[origin.name] as StoredTensor, { isChecked: true }]);
    const byName = new Map(origins.map((origin) => [origin.name, origin]));
    const weights: Weights = {};
    for await (const [name, tensor] of readAhead(asked)) Object.assign(weights, fromOriginal(byName.get(name) as Origin, tensor));
    const own = inOurLayout(file, weights, names);
    if (hash) for (const name of Object.keys(own).sort()) hash.add(name, own[name] as Weights[string]);
    return own;
  }
  async function shapes(names: TorchNames): Promise<Weights> {
    const places = origins.flatMap((origin) => placesOf(origin, (stored[origin.name] as StoredTensor).shape));
    return inOurLayout(file, shapesAlone(Object.fromEntries(places.map(([name, shape]) => [name, { shape }]))), names);
  }
  return { file, json: config, read, shapes };
}
