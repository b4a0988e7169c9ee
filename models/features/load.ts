import { createHash } from "node:crypto";
import { access, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { loadWeights } from "../weights/load.ts";
import type { Shapes, Weights } from "../../engine/weights.ts";
import { parsedJson } from "../../schemas/json.ts";
import { absent } from "../../schemas/system-error.ts";
import { Failure } from "../../schemas/failure.ts";
import { type ImageSize, sidesOf } from "../../schemas/images.ts";
import { packageRoot } from "../../schemas/package.ts";
import { BUILTIN_SIZE, builtin, builtinDifferences } from "./builtin.ts";
import { mobilenet, mobilenetDifferences, mobilenetLayers } from "./mobilenet.ts";
import type { Architecture, FeatureDescription, FeatureNetwork } from "./network.ts";
import { RESIZE_FILTER } from "./resize.ts";
import { resnet20, resnet20Differences } from "./resnet20.ts";

const root = packageRoot();
const builtinPath = fileURLToPath(new URL("data/demo/features.safetensors", root));
const publishedFolder = fileURLToPath(new URL("../shared/data/features/", root));

/**
 * The feature network in which images of this size are compared; those that are no squares as squares of their longer side are, whose
 * own proportions they lose.
 *
 * `path` is a safetensors file (ResNet-20, MobileNetV2 with its layer list beside it, or the built-in layout),
 * "builtin", or "auto": from `folder`, ResNet-20 up to 48 px and MobileNetV2 above; the built-in one where that folder
 * is absent.
 * Throws a Failure when the weights cannot be read or fit no known network.
 */
export async function loadFeatureNetwork(options: Omit<Options, "imageSize"> & { imageSize: ImageSize }): Promise<FeatureNetwork> {
  const sides = sidesOf(options.imageSize);
  const { architecture, size, hash } = await open({ ...options, imageSize: Math.max(...sides) });
  const { name, dimension, parameters, apply } = architecture;
  return {
    name,
    dimension,
    parameters,
    apply,
    size,
    hash,
    resizeFilter: sides.every((side) => side === size) ? "none" : RESIZE_FILTER,
  };
}

/**
 * Frozen image networks for traced functions to look through (traced.ts), each named as above: what describes them, and the
 * parameters of all of them as one set, in which those of network i are called "i.NAME". Throws as `loadFeatureNetwork`.
 */
export async function loadTracedFeatures(options: {
  paths: readonly string[];
  imageSize: number;
  setting: string;
}): Promise<{ networks: FeatureDescription[]; weights: Weights }> {
  const { paths, imageSize, setting } = options;
  const networks: FeatureDescription[] = [];
  const weights: Weights = {};
  for (const [i, path] of paths.entries()) {
    const { architecture, size, hash } = await open({ path, imageSize, setting });
    const { kind, name, maps, layers } = architecture;
    networks.push({
      kind,
      name,
      hash,
      size,
      maps: maps.map(({ channels, stride }) => ({ side: Math.ceil(size / stride), channels })),
      ...(layers && { layers }),
    });
    for (const [key, tensor] of Object.entries(architecture.parameters)) weights[`${i}.${key}`] = tensor;
  }
  return { networks, weights };
}

interface Options {
  path: string;
  imageSize: number;
  folder?: string;
  /** The setting that named it, for messages. */
  setting?: string;
}

async function open({ path, imageSize, folder = publishedFolder, setting = "evaluate.features" }: Options) {
  const file = path === "auto" ? await automatic(imageSize, folder) : path === "builtin" ? builtinPath : path;
  await access(file).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== "ENOENT") throw cause;
    throw new Failure(
      `Cannot load the feature network ${file}: there is no such file; set ${setting} to "auto", "builtin" or a safetensors file`,
      { cause },
    );
  });
  const hash = createHash("sha256");
  let kind: Kind | undefined;
  const { weights } = await loadWeights(file, {
    differences: async (found) => {
      kind = await recognise(found, file, imageSize);
      return kind.differences(found);
    },
    onBytes: (piece) => hash.update(piece),
  });
  const { size, architecture } = kind as Kind;
  return { architecture: architecture(weights), size, hash: hash.digest("hex") };
}

async function automatic(imageSize: number, folder: string): Promise<string> {
  const published =
    imageSize <= 48
      ? `${folder}cifar10-resnet20/resnet20-12fca82f.safetensors`
      : `${folder}mobilenet-v2/mobilenet_v2_1.0_features-fp16.safetensors`;
  return access(published).then(
    () => published,
    () => builtinPath,
  );
}

/** A known network: what it asks of a file's tensors, and what it makes of them. */
interface Kind {
  size: number;
  differences: (found: Shapes) => string[];
  architecture: (tensors: Weights) => Architecture;
}

/** The network whose tensors these are, by one that no other has. */
async function recognise(found: Shapes, file: string, imageSize: number): Promise<Kind> {
  if (Object.hasOwn(found, "layer3.2.bn2.running_var")) return { size: 32, differences: resnet20Differences, architecture: resnet20 };
  if (Object.hasOwn(found, "convs.0.kernel")) return { size: BUILTIN_SIZE, differences: builtinDifferences, architecture: builtin };
  if (Object.hasOwn(found, "conv51.weight")) {
    const list = file.replace(/(-fp16|-fp32)?\.safetensors$/, ".json");
    const layers = mobilenetLayers.safeParse(parsedJson(await readFile(list, "utf8").catch(absent)));
    if (layers.success) {
      return {
        // Native size where the strides divide it; never above the 224 px of its training.
        size: Math.min(Math.max(Math.floor(imageSize / 32) * 32, 64), 224),
        differences: (tensors) => mobilenetDifferences(layers.data, tensors),
        architecture: (tensors) => mobilenet(tensors, layers.data),
      };
    }
    throw new Failure(`Cannot load the feature network ${file}: its layer list ${list} is missing or not valid`);
  }
  throw new Failure(
    `Cannot load the feature network ${file}: its tensors are those of no known network; ` +
      "give ResNet-20, MobileNetV2 or the built-in one",
  );
}
