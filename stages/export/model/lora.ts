/** A student's LoRA as other tools read it: diffusers' and peft's names, or those of kohya's trainer. */
import { join } from "node:path";
import type { Weights } from "../../../engine/weights.ts";
import type { LoraPart } from "../../../models/published/lora-files.ts";
import { toTorch } from "../../../models/published/torch.ts";
import { DOWN, UP } from "../../../models/layers.ts";
import { adaptedKernels } from "../../../models/training/lora.ts";
import { safetensorsPieces, sourcesOf } from "../../../models/weights/pieces.ts";
import { writeAtomic } from "../../../store/places/atomic.ts";
import type { Lora } from "../../runs/lora.ts";
import type { StoredAs } from "./parts.ts";

/** The names of files, by format. */
export const LORA_FILES = { lora: "pytorch_lora_weights.safetensors", kohya: "kohya.safetensors" } as const;

/** Writes the file of a LoRA on one part of a pipeline; answers its path. Factors are as trained: alpha is said beside them. */
export async function writeLoraFile(options: {
  out: string;
  format: keyof typeof LORA_FILES;
  lora: Lora;
  part: LoraPart;
  dtype: StoredAs;
}): Promise<string> {
  const { out, format, lora, part, dtype } = options;
  const path = join(out, LORA_FILES[format]);
  const { tensors, metadata } = format === "lora" ? ofPeft(lora, part) : ofKohya(lora, part);
  await writeAtomic(path, safetensorsPieces({ tensors: sourcesOf(tensors, dtype), metadata }));
  return path;
}

interface Written {
  tensors: Weights;
  metadata: Record<string, string>;
}

/** Names unet.PATH.lora_A.weight [rank, in, ...] and lora_B [out, rank, ...], with peft's config as diffusers keeps it in the header. */
function ofPeft({ trained, rank, alpha }: Lora, part: LoraPart): Written {
  const layers = layersOf(trained);
  const config = { r: rank, lora_alpha: alpha, target_modules: layers, lora_dropout: 0, bias: "none", use_dora: false, use_rslora: false };
  const said = Object.fromEntries(Object.entries(config).map(([key, value]) => [`${part}.${key}`, value]));
  return {
    tensors: factors(trained, (layer) => [`${part}.${layer}.lora_A`, `${part}.${layer}.lora_B`]),
    metadata: { format: "pt", lora_adapter_metadata: JSON.stringify(said) },
  };
}

/** Names lora_unet_PATH.lora_down.weight with underscores for points, and each layer's alpha as a tensor. */
function ofKohya({ trained, alpha }: Lora, part: LoraPart): Written {
  const name = (layer: string): string => `lora_${part}_${layer.replaceAll(".", "_")}`;
  const alphas = Object.fromEntries(
    layersOf(trained).map((layer) => [`${name(layer)}.alpha`, { shape: [], data: Float32Array.of(alpha) }]),
  );
  return {
    tensors: { ...factors(trained, (layer) => [`${name(layer)}.lora_down`, `${name(layer)}.lora_up`]), ...alphas },
    metadata: { format: "pt" },
  };
}

/** Factors in torch's layouts: of a convolution the second is one of a single pixel. */
function factors(trained: Weights, names: (layer: string) => [down: string, up: string]): Weights {
  const own: Weights = {};
  for (const layer of layersOf(trained)) {
    const [down, up] = [trained[`${layer}.kernel${DOWN}`], trained[`${layer}.kernel${UP}`]] as [Weights[string], Weights[string]];
    const [first, second] = names(layer);
    own[`${first}.kernel`] = down;
    own[`${second}.kernel`] = { shape: [...down.shape.slice(0, -2).map(() => 1), ...up.shape], data: up.data };
  }
  return toTorch(own);
}

const layersOf = (trained: Weights): string[] => adaptedKernels(trained).map((kernel) => kernel.slice(0, -".kernel".length));
