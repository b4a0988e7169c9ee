/**
 * A network as its makers publish it: which config.json it understands, what its file calls its parameters, and what it computes.
 * Each kind is one file (models/families/, models/text/, models/codecs/) that exports such an object; registry.ts lists them.
 */
import * as z from "zod";
import type { Tensor } from "../../engine/tfjs.ts";
import { Failure } from "../../schemas/failure.ts";
import type { FamilyInputs, Hooks, Trunk, TrunkLimits } from "../families/family.ts";
import type { Parameters } from "../layers.ts";
import type { TorchNames } from "./torch.ts";

/** A key that may stand in a config with any value, for the network is the same with all of them. */
export const unread = z.unknown().optional();

export interface PublishedNetwork<C> {
  /** As `_class_name` or `architectures` of config.json call it. */
  classes: readonly string[];
  /**
   * Every key that a config may hold with every value that is understood, defaults of the published class among them; what it does
   * not know is refused. Keys that begin with an underscore are left out before.
   */
  config: z.ZodType<C>;
  names?: (config: C) => TorchNames;
  /** Parameters, by our names, that its layers look for and do without in files of such networks: biases of layers that have none. */
  spare?: RegExp;
  /**
   * Shapes of parameters, by our names, which the config tells and layers would take as they come: of those that a file has, these must be
   * so. One of each kind will do.
   */
  told?: (config: C) => Record<string, readonly number[]>;
  /** What it can be asked, where that is not one thing: "encode" and "decode" of a codec. Together they read every parameter. */
  calls?: readonly string[];
  /**
   * What it computes, traced: inputs and outputs by the names that the published class gives them, images [b, h, w, c], whole
   * numbers as int32. `call` is one of `calls`. It reads every parameter of the file.
   */
  forward: (config: C, parameters: Parameters, inputs: Record<string, Tensor>, call: string, hooks?: Hooks) => Record<string, Tensor>;
  /** Of a network that predicts noise or the like. Throws a Failure where it asks for what no denoiser is given here. */
  denoiser?: (config: C) => PublishedDenoiser;
}

/** How a published network serves as a denoiser here (models/families/published.ts). */
export interface PublishedDenoiser {
  /** [height, width, channels] of what it was trained on. */
  shape: readonly [number, number, number];
  /** Which other sizes it can be asked for. */
  sizes: LatentSizes;
  conditions: PublishedConditions;
  /**
   * The inputs of `forward`, by the published names. `noiseLevel` is the number of a step where the schedule numbers them, and of
   * flow matching the time from 0 to 1. Of rows without a class `label` is the number of classes; a text is `sequences[0]`, its
   * pooled features `vector`; `pixels` is the picture's [height, width].
   */
  inputs: (given: FamilyInputs & { pixels: readonly [number, number] }) => Record<string, Tensor>;
  /** What `forward` answers to x [b, h, w, c], as latents [b, h, w, any]; as it is where this is absent. */
  output?: (out: Tensor, x: Tensor) => Tensor;
  /** Which of its `calls` it is. */
  call: string;
  /** Places whose features tell pictures apart, as of a family. */
  features: readonly string[];
  /** Parts of the network as patterns over our names, as of a family. */
  groups: Record<string, RegExp>;
  /** The network as a discriminator's trunk over latents of this shape, as of a family, and what such a trunk can be. */
  trunk: (options: { depth: number; scales: readonly number[]; shape: readonly [number, number, number] }) => Trunk;
  trunkLimits: (shape?: readonly [number, number, number]) => Omit<TrunkLimits, "setting">;
}

/**
 * Sides of latents that a network takes beside those it was trained on: multiples of a number, `most` at most, or none but those, for a
 * reason that ends a sentence.
 */
export type LatentSizes = { multiple: number; most?: number } | { why: string };

/** What a published denoiser is conditioned on. How long a text is, its encoders say. */
export interface PublishedConditions {
  classes?: number;
  /** Width of a text's tokens, whether padding among them is hidden, and the width of its pooled features where those are read. */
  text?: { width: number; isMasked?: boolean; pooled?: number };
  /** Whether the guidance scale is an input. */
  guidance?: boolean;
}

/** A published network whose config is filled in. */
export interface BoundNetwork extends Pick<PublishedNetwork<never>, "spare"> {
  names: TorchNames;
  told: Record<string, readonly number[]>;
  calls: readonly string[];
  forward: (parameters: Parameters, inputs: Record<string, Tensor>, call: string, hooks?: Hooks) => Record<string, Tensor>;
  /** Undefined: it is none. Reading it throws a Failure for a network that can be compared but not denoise here. */
  readonly denoiser?: PublishedDenoiser | undefined;
}

/** The network of a config. Throws a Failure that names file, key and value of what it does not understand. */
export function boundNetwork<C>(network: PublishedNetwork<C>, { json, file }: { json: object; file: string }): BoundNetwork {
  const config = readConfig(network.config, { json, file });
  return {
    names: network.names?.(config) ?? {},
    told: network.told?.(config) ?? {},
    ...(network.spare && { spare: network.spare }),
    calls: network.calls ?? [""],
    forward: (parameters, inputs, call, hooks) => network.forward(config, parameters, inputs, call, hooks),
    get denoiser() {
      return network.denoiser?.(config);
    },
  };
}

/** The most of a value that a sentence shows, in characters. */
const LONGEST = 200;

/** A config.json by its schema; see {@link boundNetwork}. */
export function readConfig<C>(schema: z.ZodType<C>, { json, file }: { json: object; file: string }): C {
  const own = Object.fromEntries(Object.entries(json).filter(([key]) => !key.startsWith("_")));
  const { data, error } = schema.safeParse(own);
  if (data !== undefined) return data;
  const [issue] = error?.issues ?? [];
  const path = issue?.code === "unrecognized_keys" ? [...issue.path, issue.keys[0] as string] : (issue?.path ?? []);
  const value = path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], own);
  const text = JSON.stringify(value) ?? "undefined";
  const what = `${path.map(String).join(".")}: ${text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text}`;
  const why = issue?.code === "unrecognized_keys" ? "no network here knows this key" : issue?.message;
  throw new Failure(`Cannot use ${file}: ${what} is not understood (${why}). Use another model, or ask for this one to be added.`);
}
