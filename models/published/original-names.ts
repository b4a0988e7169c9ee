/**
 * Checkpoints of Stable Diffusion in one file with the names of the code that trained them (latent-diffusion, later sgm): which of
 * the three kinds a file is, and what each of its tensors is in diffusers' layout, there and back.
 */
import { elements, type Shapes, type Weights } from "../../engine/weights.ts";
import { Failure } from "../../schemas/failure.ts";
import { type NameTable, renamed, restored } from "./name-table.ts";
import { clipTable, openClipTable, vaeTable } from "./original-tables.ts";
import { sgmTable } from "./sgm-names.ts";
import { transposed } from "./torch.ts";

/** Stable Diffusion 1.x, 2.x and SDXL's base. */
export type OriginalKind = "sd1" | "sd2" | "sdxl";
export type OriginalPart = "unet" | "vae" | "text_encoder" | "text_encoder_2";

/** A tensor of a file, and what it is in the layout of diffusers. */
export interface Origin {
  /** In the file. */
  name: string;
  part: OriginalPart;
  /** In the part: three of a fused projection of queries, keys and values, else one. */
  names: readonly string[];
  /** The kernel [out, in, 1, 1] of a convolution is a matrix there ("matrix"), or [in, out] is [out, in] ("turned"). */
  change: "none" | "matrix" | "turned";
}

interface PartLayout {
  prefix: string;
  /** Of names without the prefix, whichever layout they are of. */
  table: (names: readonly string[]) => NameTable;
}

const unet: PartLayout = { prefix: "model.diffusion_model.", table: sgmTable };
const vae: PartLayout = { prefix: "first_stage_model.", table: vaeTable };

const LAYOUTS: Readonly<Record<OriginalKind, Partial<Record<OriginalPart, PartLayout>>>> = {
  sd1: { unet, vae, text_encoder: { prefix: "cond_stage_model.transformer.", table: () => clipTable } },
  sd2: { unet, vae, text_encoder: { prefix: "cond_stage_model.model.", table: openClipTable } },
  sdxl: {
    unet,
    vae,
    text_encoder: { prefix: "conditioner.embedders.0.transformer.", table: () => clipTable },
    text_encoder_2: { prefix: "conditioner.embedders.1.model.", table: openClipTable },
  },
};

/**
 * Of a part's tensors those that no network reads: of the training of an autoencoder, of a contrast with images, masks, and the last
 * layer of SD 2's text encoder, of whose 24 it reads 23 (what diffusers writes as one file has 23).
 */
const IDLE: readonly RegExp[] = [
  /^first_stage_model\.(loss|model_ema)\./,
  /\.(logit_scale|attn_mask)$/,
  /\.transformer\.text_projection\.weight$/,
  /^cond_stage_model\.model\.(text_projection$|transformer\.resblocks\.23\.)/,
];

/** What a file is instead, by a name in it. */
const OTHERS: readonly (readonly [RegExp, string])[] = [
  [/(^|\.)lora_|\.lora\./, "it is a LoRA, which changes a model and is none"],
  [/^control_model\.|^input_hint_block\./, "it is a ControlNet"],
  [/(^|\.)joint_blocks\./, "it is of Stable Diffusion 3"],
  [/(^|\.)double_blocks\./, "it is of FLUX"],
  [/^conditioner\.embedders\.0\.model\./, "it is of SDXL's refiner"],
  [/^edm_(mean|std)$/, "it is Playground's, which is trained otherwise than SDXL"],
  [/^model\.diffusion_model\.label_emb\.weight$/, "its U-Net is an upscaler's"],
  [/^(down_blocks|up_blocks|transformer_blocks|text_model)\./, "it is one part alone, in diffusers' layout"],
];

const REMEDY = "Use a folder that diffusers' from_single_file and save_pretrained made of it, or another model.";

/**
 * Which kind a file is, by the names of its tensors. Throws a Failure that says what it is instead, or what it lacks.
 *
 * @param file names it in errors
 */
export function originalKind(names: readonly string[], file: string): OriginalKind {
  const refuse = (why: string) => new Failure(`Cannot use ${file} as Stable Diffusion in one file: ${why}. ${REMEDY}`);
  for (const [pattern, why] of OTHERS) if (names.some((name) => pattern.test(name))) throw refuse(why);
  const has = (prefix = "") => names.some((name) => name.startsWith(prefix));
  if (!has(`${unet.prefix}input_blocks.`)) throw refuse(`it has no tensor ${unet.prefix}input_blocks...`);
  if (!has(vae.prefix)) throw refuse(`it lacks the autoencoder, ${vae.prefix}...`);
  const kind = (["sdxl", "sd2", "sd1"] as const).find((each) => {
    const { text_encoder: first, text_encoder_2: second } = LAYOUTS[each];
    return has(first?.prefix) && has(second?.prefix);
  });
  if (!kind) throw refuse("it lacks the text encoder, cond_stage_model... or conditioner.embedders...");
  if (kind !== "sdxl" && has(`${unet.prefix}label_emb.`)) throw refuse("its U-Net is given a picture or a class besides the text");
  return kind;
}

/**
 * What a file's tensors are in diffusers' layout; those that belong to no part, as averages and schedules do, are left out. Throws a
 * Failure that names a tensor of a part which has no place there.
 */
export function originsOf(kind: OriginalKind, shapes: Shapes, file: string): Origin[] {
  return partsOf(kind).flatMap(([part, { prefix, table }]) => {
    const own = Object.keys(shapes).flatMap((name) =>
      name.startsWith(prefix) && !IDLE.some((idle) => idle.test(name)) ? [name.slice(prefix.length)] : [],
    );
    const back = restored(table(own));
    return own.map((short): Origin => {
      const name = prefix + short;
      const names = back(short);
      const sides = shapes[name]?.shape.length;
      const isWhole = (sides === 1 || sides === 2) && (shapes[name]?.shape[0] as number) % names.length === 0;
      if (names.length === 0 || (names.length > 1 && !isWhole))
        throw new Failure(`Cannot use ${file} as Stable Diffusion in one file: nobody knows its tensor "${name}". ${REMEDY}`);
      return { name, part, names, change: isMatrix(part, names) && sides === 4 ? "matrix" : changeOf(names) };
    });
  });
}

const partsOf = (kind: OriginalKind) => Object.entries(LAYOUTS[kind]) as [OriginalPart, PartLayout][];

/** The parts that a file of this kind holds. */
export const originalParts = (kind: OriginalKind): OriginalPart[] => partsOf(kind).map(([part]) => part);

/** Attention of autoencoders is made of 1x1 convolutions there. */
const isMatrix = (part: OriginalPart, [name = ""]: readonly string[]): boolean =>
  part === "vae" && /\.attentions\.\d+\.to_.*\.weight$/.test(name);

const changeOf = ([name]: readonly string[]): Origin["change"] => (name === "text_projection.weight" ? "turned" : "none");

/** Names and shapes in the part of a tensor with this shape in the file. */
export function placesOf({ names, change }: Origin, shape: readonly number[]): [name: string, shape: number[]][] {
  const [rows = 1, ...rest] = change === "turned" ? [...shape].reverse() : change === "matrix" ? shape.slice(0, 2) : shape;
  return names.map((name) => [name, shape.length === 0 ? [] : [rows / names.length, ...rest]]);
}

/** A tensor of the file as those of the part. */
export function fromOriginal(origin: Origin, tensor: Weights[string]): Weights {
  const { data } = origin.change === "turned" ? transposed(tensor) : tensor;
  const places = placesOf(origin, tensor.shape);
  const length = data.length / places.length;
  return Object.fromEntries(places.map(([name, shape], i) => [name, { shape, data: data.slice(i * length, (i + 1) * length) }]));
}

/**
 * The tensors of a file from all parts' as diffusers and transformers name them today: the inverse of {@link fromOriginal}. Throws an
 * Error for a name that has no place there.
 */
export function toOriginal(kind: OriginalKind, parts: Partial<Record<OriginalPart, Weights>>): Weights {
  const file: Weights = {};
  for (const [part, { prefix, table }] of partsOf(kind)) {
    const entries = Object.entries(parts[part] ?? {}).map(([name, tensor]) => [longName(part, name), tensor] as const);
    const own = Object.fromEntries(entries);
    const names = table(Object.keys(own));
    const back = restored(names);
    for (const name of Object.keys(own)) {
      const there = renamed(name, names);
      if (there === undefined && name.endsWith(".position_ids")) continue; // counts from 0, and OpenCLIP stores none
      if (there === undefined) throw new Error(`Cannot write "${name}" of ${part}: the layout of ${kind} has no place for it`);
      file[prefix + there] ??= joined(
        part,
        back(there).map((each) => [each, own[each] as Weights[string]]),
      );
    }
  }
  return file;
}

/** Transformers 5 leaves out what transformers 4 writes before all names but the projection's. */
const longName = (part: OriginalPart, name: string): string =>
  part.startsWith("text_encoder") && !/^text_(model|projection)\./.test(name) ? `text_model.${name}` : name;

function joined(part: OriginalPart, entries: readonly (readonly [name: string, tensor: Weights[string]])[]): Weights[string] {
  const names = entries.map(([name]) => name);
  const [first] = entries.map(([, tensor]) => tensor) as [Weights[string]];
  if (isMatrix(part, names) && first.shape.length === 2) return { shape: [...first.shape, 1, 1], data: first.data };
  if (changeOf(names) === "turned") return transposed(first);
  const [rows = 1, ...rest] = first.shape;
  const shape = first.shape.length === 0 ? [] : [rows * entries.length, ...rest];
  const data = new Float32Array(elements(shape));
  for (const [i, [, tensor]] of entries.entries()) data.set(tensor.data, i * tensor.data.length);
  return { shape, data };
}
