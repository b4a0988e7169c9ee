/**
 * States whose coefficients come with them: D(x; sigma) = cSkip x + cOut F(cIn x, cNoise) with all four computed in float64 where the
 * states are made. So a program may be asked at level 0, where formulas on the device would divide by nothing.
 */
import type { ProgramSpec } from "../../engine/program.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import { applyNetwork, type DenoiserSpec, embedConditions } from "../denoiser.ts";
import type { Parameters } from "../layers.ts";
import { denoise } from "./denoise.ts";
import { conditionsOf } from "./levels.ts";
import type { Preconditioning } from "./parameterisation.ts";

const coefficients = ["cSkip", "cOut", "cIn", "cNoise"] as const satisfies readonly (keyof Preconditioning<number>)[];

/** Declarations of the states of these names, each [batch, h, w, c] with its coefficients [batch]. */
export function statesInputs(names: readonly string[], { shape }: DenoiserSpec, batch: number): ProgramSpec["inputs"] {
  const of = (name: string) => [
    [`${name}.x`, { shape: [batch, ...shape] }] as const,
    ...coefficients.map((coefficient) => [`${name}.${coefficient}`, { shape: [batch] }] as const),
  ];
  return Object.fromEntries(names.flatMap(of));
}

/** The states x [rows * h * w * c] under such a name, with the coefficients of each row. */
export function statesOf(name: string, x: Float32Array, rows: readonly Preconditioning<number>[]): Record<string, Float32Array> {
  const columns = coefficients.map((key) => [`${name}.${key}`, Float32Array.from(rows, (row) => row[key])] as const);
  return { [`${name}.x`]: x, ...Object.fromEntries(columns) };
}

/** The clean prediction [b, h, w, c] from the states of that name among a program's inputs, with the conditions among them. */
export function predictedFrom(
  name: string,
  { spec, parameters, inputs }: { spec: DenoiserSpec; parameters: Parameters; inputs: Record<string, Tensor> },
): Tensor {
  const of = (part: string): Tensor => inputs[`${name}.${part}`] as Tensor;
  const condition = embedConditions(spec, parameters, conditionsOf(spec, inputs));
  const [cSkip, cOut, cIn, cNoise] = coefficients.map(of) as [Tensor, Tensor, Tensor, Tensor];
  return denoise({
    x: of("x"),
    coefficients: { cSkip, cOut, cIn, cNoise },
    network: (at) => applyNetwork(spec, parameters, { ...at, condition }),
  });
}
