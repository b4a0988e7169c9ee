/**
 * What turns the conditions of rows (labels, captions) into what a network reads. Half of an encoder runs on the host,
 * from rows to arrays, and half is traced, from arrays to vectors and sequences.
 */
import { type Tensor, tf } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import type { Parameters } from "../layers.ts";
import type { TokenizerData } from "../text/tokenizer.ts";

/** Of a batch: label [batch] with -1 for none, and captions with null for none. */
export interface Conditioned {
  label: Int32Array;
  caption: (string | null)[];
  /** Captions that are embedded already (models/text/embedding.ts), as a store may keep them. */
  embedding?: readonly (Float32Array | undefined)[];
}

/**
 * Embeds captions outside of programs, for networks whose text encoders are published with them: a row each (models/text/embedding.ts),
 * of null the negative prompt's.
 */
export type Embed = (captions: readonly (string | null)[]) => Promise<readonly Float32Array[]>;

/** What encoders are opened with: the tokenizer that a caption model keeps, and what embeds a published network's texts. */
export interface Opening {
  tokenizer?: TokenizerData;
  embed?: Embed;
}

/**
 * Conditions of some rows as a program takes them: for each of its condition inputs the rows' values, one after the other.
 * A bag that only the network's family and its encoders open; whoever carries it sees names and arrays.
 */
export type ConditionBag = Record<string, Float32Array | Int32Array>;

/** Conditions as a network reads them, inside a program: the bag that encoders fill and the family opens. */
export interface Embedded {
  /** [b, width] */
  vector?: Tensor;
  /** Of each text encoder tokens [b, n, width] and, where some of them are padding, a mask [b, n] of 1 for the others. */
  sequences?: { tokens: Tensor; mask?: Tensor }[];
  /** Original size, crop and the like, [b, count]. */
  size?: Tensor;
  /** Class as a whole number [b], of networks that look it up themselves. */
  label?: Tensor;
  /** Guidance scale, [b]. */
  guidance?: Tensor;
  /** A map of codes, [b, h', w', d]. */
  map?: Tensor;
}

/** A program's inputs: shapes and types. */
export type InputShapes = Record<string, { shape: number[]; dtype?: "float32" | "int32" }>;

/** The columns of a store that conditions are read from. */
export type ConditionColumn = "label" | "caption";

export interface Encoder {
  /** Names its parameters as a group, beside the groups of the network. */
  name: string;
  /** The column of a store it is about; none where its input comes from whoever asks the network. */
  reads?: ConditionColumn;
  /** Patterns of its own parameters, which live beside the network's and are trained with it; undefined: it has none. */
  parameters?: RegExp;
  init?: (seed: number) => Weights;
  /** Inputs of a program for `batch` rows. `keep` [batch], 1 where conditions hold and 0 where they are dropped, comes by itself. */
  inputs: (batch: number) => InputShapes;
  /** How rows become those inputs. */
  open: (opening: Opening) => (rows: Conditioned) => ConditionBag | Promise<ConditionBag>;
  /** The traced half, over the inputs and `keep`. */
  encode: (parameters: Parameters, inputs: Record<string, Tensor>) => Embedded;
}

/** What several encoders made, in one bag: their vectors are summed, their sequences stand one after the other. */
export function joinedEmbedded(parts: readonly Embedded[]): Embedded {
  const vectors = parts.flatMap(({ vector }) => vector ?? []);
  const sequences = parts.flatMap((part) => part.sequences ?? []);
  return Object.assign(
    {},
    ...parts,
    vectors.length > 0 && { vector: vectors.reduce((sum, vector) => tf.add(sum, vector)) },
    sequences.length > 0 && { sequences },
  );
}
