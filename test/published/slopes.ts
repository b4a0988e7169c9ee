/** Slopes of a published network along directions in the space of its parameters, in double precision; runs in engine/double-worker.mjs. */
import { tf } from "../../engine/tfjs.ts";
import type { DenoiserSpec } from "../../models/denoiser.ts";
import { familyOf } from "../../models/families/registry.ts";
import { bagOf } from "./denoisers.ts";

type Numbers = { shape: readonly number[]; data: Float64Array };

export interface SlopesRequest {
  spec: DenoiserSpec;
  weights: Record<string, Numbers>;
  inputs: Record<string, Numbers & { isWhole?: boolean }>;
  /** Of the output's elements in what is differentiated. */
  share: Float64Array;
  /** Elements of parameters that are moved, and by how much of a step each. */
  directions: { name: string; index: number; by: number }[][];
}

/** Half of the distance over which a slope is taken: in double precision both its errors are then far below float32's. */
const STEP = 3e-5;

/** The slope along each direction of the sum of the output's elements times their shares, by central differences. */
export function slopes({ spec, weights, inputs, share, directions }: SlopesRequest): number[] {
  const family = familyOf(spec);
  const tensorOf = ({ shape, data }: Numbers, type: "float32" | "int32" = "float32") =>
    tf.tensor(type === "int32" ? Int32Array.from(data) : (data as unknown as Float32Array), [...shape], type);
  const fixed = Object.fromEntries(Object.entries(weights).map(([name, numbers]) => [name, tensorOf(numbers)]));
  const total = (direction: SlopesRequest["directions"][number], h: number): number =>
    tf.tidy(() => {
      const moved: Record<string, Float64Array> = {};
      for (const { name, index, by } of direction) {
        moved[name] ??= (weights[name] as Numbers).data.slice();
        moved[name][index] = (moved[name][index] as number) + h * by;
      }
      const own = Object.entries(moved).map(([name, data]) => [name, tensorOf({ shape: (weights[name] as Numbers).shape, data })]);
      const given = Object.entries(inputs).map(([name, numbers]) => [name, tensorOf(numbers, numbers.isWhole ? "int32" : "float32")]);
      const out = family.apply({ ...fixed, ...Object.fromEntries(own) }, bagOf(Object.fromEntries(given))).dataSync();
      return share.reduce((sum, of, i) => sum + of * (out[i] as number), 0);
    });
  return directions.map((direction) => (total(direction, STEP) - total(direction, -STEP)) / (2 * STEP));
}
