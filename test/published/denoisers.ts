/**
 * The tiny pipelines' denoisers with the golden inputs of their networks, as a family is given them: in our layouts, with FLUX's
 * tokens put back together as latents by a loop of their own.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { elements, type Weights } from "../../engine/weights.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import type { DenoiserSpec } from "../../models/denoiser.ts";
import type { FamilyInputs } from "../../models/families/family.ts";
import { readPartConfig } from "../../models/published/folder.ts";
import { publishedNetwork } from "../../models/published/registry.ts";
import { fromChannelsFirst } from "../../models/published/torch.ts";
import { readSafetensors } from "../../models/weights/safetensors.ts";
import { anyDiffusion, anyNetwork } from "../../schemas/settings.ts";
import { readPart } from "../../stages/published/part.ts";
import { pipelines } from "./golden.ts";

type Given = Weights[string] & { isWhole?: boolean };

interface GoldenDenoiser {
  spec: DenoiserSpec;
  weights: Weights;
  /** By the names of FamilyInputs; `tokens` and `mask` are of the only text. */
  inputs: Record<string, Given>;
  /** [b, h, w, c]; of the rows below `rows` alone, because others are told of pictures of another size. */
  expected: Weights[string];
  rows: number;
}

/** What the golden inputs of a network are called, and what is said otherwise here. */
interface Naming {
  part: string;
  prefix: string;
  names: Record<string, string>;
  /** What a step's time is divided by. */
  times?: number;
  pixels?: [number, number];
  rows?: number;
}

const transformer = { part: "transformer", prefix: "transformer" };
const text = { x: "hidden_states", noiseLevel: "timestep", tokens: "encoder_hidden_states" };
const unet = { part: "unet", prefix: "unet", names: { x: "sample", noiseLevel: "timestep" } };
const conditional = { ...unet, names: { ...unet.names, tokens: "encoder_hidden_states" } };

const namings: Record<string, Naming> = {
  ddpm: unet,
  dit: { ...transformer, names: { x: "hidden_states", noiseLevel: "timestep", label: "class_labels" } },
  edm: { part: "", prefix: "network_raw", names: { x: "x", noiseLevel: "noise" } },
  sd15: conditional,
  sd21v: conditional,
  sdxl: { ...conditional, names: { ...conditional.names, vector: "text_embeds" }, pixels: [32, 48], rows: 1 },
  pixart: { ...transformer, names: { ...text, mask: "encoder_attention_mask" }, pixels: [32, 48], rows: 1 },
  sd3: { ...transformer, names: { ...text, vector: "pooled_projections" }, times: 1000 },
  flux: { ...transformer, names: { ...text, vector: "pooled_projections", guidance: "guidance" } },
};

/** Whether the tiny pipelines are there. */
export const arePipelines = (): boolean => existsSync(pipelines);

/** The specification of a denoiser whose config.json is `json`, of latents of this shape. */
function specOf(json: object, shape: readonly number[], pixels?: [number, number]): DenoiserSpec {
  const published = Object.fromEntries(Object.entries(json));
  return {
    shape: [...shape] as [number, number, number],
    network: anyNetwork.parse({ kind: "published", published, ...(pixels && { pixels }) }),
    diffusion: anyDiffusion.parse({}),
    classes: [],
    vocabulary: 0,
  };
}

/** The denoiser of the pipeline `name`. */
export async function goldenDenoiser(name: string): Promise<GoldenDenoiser> {
  const { part, prefix, names, times = 1, pixels, rows } = namings[name] as Naming;
  const folder = join(pipelines, name);
  const { json, file } = await readPartConfig(join(folder, part));
  const { tensors } = await readSafetensors(join(folder, "golden.safetensors"));
  const stored = (of: string): Given => {
    const { shape, data, dtype } = tensors[`${prefix}.${of}`]!;
    return { ...(shape.length === 4 ? fromChannelsFirst({ shape, data }) : { shape, data }), isWhole: /^[IU]/.test(dtype) };
  };
  const inputs = Object.fromEntries(Object.entries(names).map(([own, theirs]) => [own, stored(theirs)]));
  inputs.noiseLevel = { shape: inputs.noiseLevel!.shape, data: inputs.noiseLevel!.data.map((time) => time / times) };
  const denoiser = publishedNetwork({ json, file }).denoiser!;
  const channels = denoiser.shape[2];
  const map = (tensor: Given): Given => (tensor.shape.length === 3 ? latentsOf(tensor, channels) : tensor);
  inputs.x = map(inputs.x!);
  const expected = cut(map(stored("out")), channels);
  const { weights } = await readPart(join(folder, part));
  const spec = specOf(json, inputs.x.shape.slice(1), pixels);
  return { spec, weights, inputs, expected, rows: rows ?? (expected.shape[0] as number) };
}

/** Inputs of a program as the family's. */
export function bagOf({ tokens, mask, ...plain }: Record<string, Tensor>): FamilyInputs {
  return { ...(plain as unknown as FamilyInputs), ...(tokens && { sequences: [{ tokens, ...(mask && { mask }) }] }) };
}

/** FLUX's tokens [b, 24, 4 c] of 4x6 squares as latents [b, 8, 12, c]: each holds its channels one after the other, of 2x2 pixels each. */
function latentsOf({ shape, data }: Given, channels: number): Given {
  const [batch] = shape as [number];
  const [rows, columns] = [4, 6];
  const latents = { shape: [batch, 2 * rows, 2 * columns, channels], data: new Float32Array(data.length) };
  for (let b = 0; b < batch; b++)
    for (let y = 0; y < 2 * rows; y++)
      for (let x = 0; x < 2 * columns; x++)
        for (let c = 0; c < channels; c++) {
          const token = (b * rows + (y >> 1)) * columns + (x >> 1);
          const at = ((b * 2 * rows + y) * 2 * columns + x) * channels + c;
          latents.data[at] = data[token * 4 * channels + 4 * c + 2 * (y % 2) + (x % 2)]!;
        }
  return latents;
}

/** The first `channels` of a map. */
function cut({ shape, data }: Given, channels: number): Weights[string] {
  const all = shape[3] as number;
  const sides = [...shape.slice(0, 3), channels];
  return {
    shape: sides,
    data: Float32Array.from({ length: elements(sides) }, (_, i) => data[Math.floor(i / channels) * all + (i % channels)]!),
  };
}
