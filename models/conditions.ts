/** Conditions of rows as a program wants them. */
import { integers } from "../schemas/numbers/philox.ts";
import type { DenoiserSpec } from "../schemas/model.ts";
import type { ConditionBag, ConditionColumn, Conditioned, Embed, Encoder, Opening } from "./encoders/encoder.ts";
import { familyOf } from "./families/registry.ts";

export type { ConditionBag, ConditionColumn, Conditioned, Embed };

/** Rows of a store as conditions are read from them: -1 and null where there is none. */
export function conditionedRows(rows: readonly ConditionedRow[]): Conditioned {
  return {
    label: Int32Array.from(rows, ({ label }) => label ?? -1),
    caption: rows.map(({ caption }) => caption ?? null),
    embedding: rows.map(({ embedding }) => embedding),
  };
}

/** What a row of a store says of its condition. */
export interface ConditionedRow {
  label?: number | null;
  caption?: string | null;
  embedding?: Float32Array;
}

export interface Conditions {
  /** The columns of a store they are read from. */
  columns: ConditionColumn[];
  /** The condition inputs of a program over this batch. */
  inputs: (batch: Conditioned) => Promise<ConditionBag>;
  /** `rows` conditions to look at: the classes in turn, or captions drawn from a list by `seed`. */
  spread: (rows: number, captions: readonly string[], seed: number) => Conditioned;
}

/** How a denoiser of this specification takes its conditions. */
export function createConditions({ spec, ...opening }: { spec: DenoiserSpec } & Opening): Conditions {
  return conditionsBy(familyOf(spec).encoders, spec, opening);
}

/** How a network with these encoders takes its conditions. */
export function conditionsBy(encoders: readonly Encoder[], spec: Pick<DenoiserSpec, "classes">, opening: Opening): Conditions {
  const prepare = encoders.map((encoder) => encoder.open(opening));
  return {
    columns: encoders.flatMap(({ reads }) => reads ?? []),
    inputs: async (batch) => Object.assign({}, ...(await Promise.all(prepare.map((one) => one(batch))))),
    spread: (rows, captions, seed) => ({
      label: Int32Array.from({ length: rows }, (_, i) => (spec.classes.length > 0 ? i % spec.classes.length : -1)),
      caption:
        captions.length === 0
          ? new Array<null>(rows).fill(null)
          : Array.from(integers({ seed, stream: "conditions", length: rows, below: captions.length }), (i) => captions[i] as string),
    }),
  };
}
