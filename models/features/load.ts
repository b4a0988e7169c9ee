import { createHash } from "node:crypto";
import { access, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { decodeSafetensors } from "../weights/safetensors.ts";
import type { Weights } from "../../engine/weights.ts";
import { Failure } from "../../schemas/failure.ts";
import { packageRoot } from "../../schemas/package.ts";
import { BUILTIN_SIZE, builtin } from "./builtin.ts";
import { mobilenet, mobilenetLayers } from "./mobilenet.ts";
import type { Architecture, FeatureNetwork } from "./network.ts";
import { RESIZE_FILTER } from "./resize.ts";
import { resnet20 } from "./resnet20.ts";

const root = packageRoot();
const builtinPath = fileURLToPath(new URL("data/demo/features.safetensors", root));
const publishedFolder = fileURLToPath(new URL("../shared/data/features/", root));

/**
 * The feature network in which images of side `imageSize` are compared.
 *
 * `path` is a safetensors file (ResNet-20, MobileNetV2 with its layer list beside it, or the built-in layout),
 * "builtin", or "auto": from `folder`, ResNet-20 up to 48 px and MobileNetV2 above; the built-in one where that folder
 * is absent.
 * Throws a Failure when the weights cannot be read or fit no known network.
 */
export async function loadFeatureNetwork({
  path,
  imageSize,
  folder = publishedFolder,
}: {
  path: string;
  imageSize: number;
  folder?: string;
}): Promise<FeatureNetwork> {
  const file = path === "auto" ? await automatic(imageSize, folder) : path === "builtin" ? builtinPath : path;
  const bytes = await readFile(file).catch((cause: NodeJS.ErrnoException) => {
    throw new Failure(
      `Cannot load the feature network ${file} (${cause.code}); set evaluate.features to "auto", "builtin" or a safetensors file`,
      { cause },
    );
  });
  const { architecture, size } = await recognise(decodeSafetensors(bytes, file).tensors, file, imageSize);
  return {
    ...architecture,
    size,
    hash: createHash("sha256").update(bytes).digest("hex"),
    resizeFilter: size === imageSize ? "none" : RESIZE_FILTER,
  };
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

async function recognise(tensors: Weights, file: string, imageSize: number): Promise<{ architecture: Architecture; size: number }> {
  if (tensors["layer3.2.bn2.running_var"]) return { architecture: resnet20(tensors), size: 32 };
  if (tensors["convs.0.kernel"]) return { architecture: builtin(tensors), size: BUILTIN_SIZE };
  if (tensors["conv51.weight"]) {
    const list = file.replace(/(-fp16|-fp32)?\.safetensors$/, ".json");
    const layers = mobilenetLayers.safeParse(await readJson(list));
    if (layers.success) {
      // Native size where the strides divide it; never above the 224 px of its training.
      const size = Math.min(Math.max(Math.floor(imageSize / 32) * 32, 64), 224);
      return { architecture: mobilenet(tensors, layers.data), size };
    }
    throw new Failure(`Cannot load the feature network ${file}: its layer list ${list} is missing or not valid`);
  }
  throw new Failure(
    `Cannot load the feature network ${file}: its tensors are those of no known network; ` +
      "give ResNet-20, MobileNetV2 or the built-in one",
  );
}

async function readJson(path: string): Promise<unknown> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
