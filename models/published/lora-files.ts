/**
 * LoRA files as others write them: of diffusers and peft (`unet.PATH.lora_A.weight`, before `unet.PATH.lora.down.weight` and
 * `PATH.processor.to_q_lora.down.weight`), and of kohya's trainer (`lora_unet_PATH_WITH_UNDERSCORES.lora_down.weight`, of SDXL
 * with sgm's paths, of FLUX with its makers').
 */
import { elements, type Shapes, type Weights } from "../../engine/weights.ts";
import { Failure } from "../../schemas/failure.ts";
import { parsedJson } from "../../schemas/json.ts";
import { DOWN, UP } from "../layers.ts";
import { addLoras } from "../training/lora.ts";
import { fluxNames } from "./flux-names.ts";
import { sgmNames } from "./sgm-names.ts";
import { fromTorch, type TorchNames } from "./torch.ts";

/** Parts of a pipeline that a LoRA can change, and what kohya's names of their layers begin with: of any denoiser as {@link DENOISER}. */
const KOHYA = {
  unet: [],
  transformer: ["lora_transformer_"],
  text_encoder: ["lora_te_", "lora_te1_"],
  text_encoder_2: ["lora_te2_"],
  text_encoder_3: ["lora_te3_"],
} as const;
export type LoraPart = keyof typeof KOHYA;
const PARTS = Object.keys(KOHYA) as LoraPart[];
const DENOISER = "lora_unet_";

/** What is added to one kernel [..., in, out]: `factor` (alpha / rank) times `down` [..., in, rank] times `up` [rank, out]. */
export interface LoraFactors {
  down: Weights[string];
  up: Weights[string];
  factor: number;
}

/** A LoRA file that has been read. */
export interface LoraFile {
  /** Names it in errors. */
  path: string;
  tensors: Weights;
  metadata: Readonly<Record<string, string>>;
}

/** The network that a LoRA is for: one part of a pipeline, with the shapes of its weights under our names. */
export interface LoraBase {
  part: LoraPart;
  shapes: Shapes;
  names?: TorchNames;
}

/**
 * What the file adds to the kernels of one part, by our names of them; nothing where it is for other parts. Throws a Failure for a
 * tensor that is no plain low-rank factor, and for a factor that is of another network.
 */
export function loraFactors(file: LoraFile, base: LoraBase): Record<string, LoraFactors> {
  const kernelsAt = kernelsOf(base);
  const own: Record<string, Partial<Record<Role, Weights[string]>> & { path: string; outputs: Outputs }> = {};
  for (const [name, tensor] of Object.entries(file.tensors)) {
    const { stem, role } = roleOf(name, file.path);
    const path = pathIn(stem, base.part);
    if (path === undefined) continue;
    const kernels = kernelsAt(path);
    if (kernels === undefined)
      throw new Failure(
        `Cannot use ${file.path}: it changes "${path}", which the ${base.part} lacks. Use it with the model it was made for.`,
      );
    for (const [kernel, outputs] of kernels) own[kernel] = { ...own[kernel], path, outputs, [role]: tensor };
  }
  const alphaOf = alphasOf(file, base.part);
  const factors = Object.entries(own).map(([kernel, { down, up, alpha, path, outputs }]): [string, LoraFactors] => {
    const shape = base.shapes[kernel]?.shape as readonly number[];
    const rows = up && rowsOf(up, outputs);
    const given = down && rows && ours(down, rows, shape);
    if (!given) throw new Failure(`Cannot use ${file.path}: its factors of "${path}" do not fit [${shape.join(", ")}]. Fetch it again.`);
    const rank = given.up.shape[0] as number;
    return [kernel, { ...given, factor: alpha ? (alpha.data[0] as number) / rank : alphaOf(path, rank) }];
  });
  return Object.fromEntries(factors);
}

/** Weights with `scale` times each LoRA added, in float64, rounded once. */
export function withLoras(weights: Weights, loras: readonly { factors: Readonly<Record<string, LoraFactors>>; scale: number }[]): Weights {
  const scaled = loras.flatMap(({ factors, scale }) =>
    Object.entries(factors).map(([kernel, { down, up, factor }]) => ({
      trained: { [kernel + DOWN]: down, [kernel + UP]: up },
      scale: scale * factor,
    })),
  );
  return addLoras(weights, scaled);
}

/**
 * The parts of a pipeline whose names stand in a file, with how many layers of each; a name without a part is of the denoiser, whichever
 * that is.
 */
export function loraParts({ path, tensors }: LoraFile): [part: LoraPart, layers: number][] {
  const stems = [...new Set(Object.keys(tensors).map((name) => roleOf(name, path).stem))];
  const owners = stems.map((stem) => ownerOf(stem)?.part);
  return PARTS.flatMap((part): [LoraPart, number][] => {
    const layers = owners.filter((owner) => owner === part).length;
    return layers > 0 ? [[part, layers]] : [];
  });
}

type Role = "down" | "up" | "alpha";

/** The layer that a tensor is of, as the file calls it, and what it is there. */
function roleOf(name: string, path: string): { stem: string; role: Role } {
  const plain = name.replace(
    /\.(?:processor\.)?(to_[qkv]|to_out)_lora\./,
    (_, layer) => `.${layer === "to_out" ? "to_out.0" : layer}.lora.`,
  );
  const [, stem, side, direction] =
    /^(.+)\.(?:lora_([AB])(?:\.default)?|(?:lora_|lora\.|lora_linear_layer\.)(down|up))\.weight$/.exec(plain) ?? [];
  if (stem !== undefined) return { stem, role: side === "A" || direction === "down" ? "down" : "up" };
  if (plain.endsWith(".alpha")) return { stem: plain.slice(0, -".alpha".length), role: "alpha" };
  throw new Failure(
    `Cannot use ${path}: its tensor "${name}" is no factor of a plain LoRA. Merge it where it was made, and use the whole model.`,
  );
}

/** The part that a layer's name begins with, and its path in there; undefined for a name without a part. */
function ownerOf(stem: string): { part: LoraPart; path: string } | undefined {
  const plain = plainOf(stem);
  for (const part of PARTS) {
    const prefix = [`${part}.`, ...KOHYA[part]].find((each) => plain.startsWith(each));
    if (prefix !== undefined) return { part, path: plain.slice(prefix.length) };
  }
  return undefined;
}

const plainOf = (stem: string): string => stem.replace(/^base_model\.model\./, "");

/** The layer's path in the part, or undefined where it is of another. A name without a part is of the denoiser, and kohya's "unet" too. */
function pathIn(stem: string, part: LoraPart): string | undefined {
  const owner = ownerOf(stem);
  if (owner) return owner.part === part ? owner.path : undefined;
  return part === "unet" || part === "transformer" ? plainOf(stem).replace(DENOISER, "") : undefined;
}

/** Of what a layer of a file answers, those outputs that are of one of our layers, and how many there are in all. */
type Outputs = Readonly<Record<"from" | "count" | "all", number>>;

/** The rows of a layer's `up` [all, rank] that are of these outputs; undefined where it has another number of them. */
function rowsOf(up: Weights[string], { from, count, all }: Outputs): Weights[string] | undefined {
  if (up.shape[0] !== all) return undefined;
  const row = up.data.length / all;
  return { shape: [count, ...up.shape.slice(1)], data: up.data.subarray(from * row, (from + count) * row) };
}

/**
 * Our names of a layer's kernels by its path in a file, with the outputs that are of each: most have one. Undefined where the network has
 * none. Paths without dots have underscores in their place, and may be sgm's or those of FLUX's makers.
 */
function kernelsOf({ shapes, names }: LoraBase): (path: string) => [kernel: string, Outputs][] | undefined {
  const layers = Object.keys(shapes).flatMap((name) => (name.endsWith(".kernel") ? [name.slice(0, -".kernel".length)] : []));
  const mangled = new Map<string, readonly string[]>();
  for (const [layer, sgm] of sgmNames(layers)) mangled.set(sgm.replaceAll(".", "_"), [layer]);
  for (const [theirs, ours] of fluxNames(layers)) mangled.set(theirs.replaceAll(".", "_"), ours);
  for (const layer of layers) mangled.set(layer.replaceAll(".", "_"), [layer]);
  const outputsOf = (layer: string): number => shapes[`${layer}.kernel`]?.shape.at(-1) as number;
  return (path) => {
    const today = names?.today?.(`${path}.weight`)?.replace(/\.weight$/, "") ?? path;
    const candidates = [[today], mangled.get(path), mangled.get(path.replace(/^text_model_/, ""))];
    const found = candidates.find((each) => each?.every((layer) => `${layer}.kernel` in shapes));
    const all = (found ?? []).reduce((sum, layer) => sum + outputsOf(layer), 0);
    let from = 0;
    return found?.map((layer): [string, Outputs] => {
      const count = outputsOf(layer);
      from += count;
      return [`${layer}.kernel`, { from: from - count, count, all }];
    });
  };
}

/** A layer's factors in our layout, for a kernel of this shape; undefined where they do not fit it. */
function ours(down: Weights[string], up: Weights[string], shape: readonly number[]): Omit<LoraFactors, "factor"> | undefined {
  const turned = fromTorch({ "down.weight": down, "up.weight": up });
  const [first, second] = [turned["down.kernel"], turned["up.kernel"]];
  const [rank, outputs] = [first?.shape.at(-1) as number, shape.at(-1) as number];
  const inputs = shape.slice(0, -1);
  const rows = elements(inputs);
  if (first?.data.length !== rows * rank || second?.data.length !== rank * outputs || second.shape.at(-1) !== outputs) return undefined;
  return { down: { shape: [...inputs, rank], data: first.data }, up: { shape: [rank, outputs], data: second.data } };
}

/** The factor of a layer by what the file's metadata says of the part's adaptor; 1 where it says nothing. */
function alphasOf({ path, metadata }: LoraFile, part: LoraPart): (layer: string, rank: number) => number {
  const said = (parsedJson(metadata.lora_adapter_metadata) ?? {}) as Record<string, unknown>;
  const of = (key: string): unknown => said[`${part}.${key}`];
  if (of("use_dora") === true || of("lora_bias") === true)
    throw new Failure(
      `Cannot use ${path}: it is no plain LoRA (DoRA, or with biases). Merge it where it was made, and use the whole model.`,
    );
  const patterns = Object.entries((of("alpha_pattern") ?? {}) as Record<string, number>);
  return (layer, rank) => {
    const [, alpha] = patterns.find(([pattern]) => new RegExp(`^(?:.*\\.)?(?:${pattern})$`).test(layer)) ?? [];
    return ((alpha ?? of("lora_alpha") ?? rank) as number) / (of("use_rslora") === true ? Math.sqrt(rank) : rank);
  };
}
