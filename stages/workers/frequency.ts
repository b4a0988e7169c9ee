/** A denoiser at any noise level, whole or without the part of one of its places, in a worker. */
import { createEngine } from "../../engine/engine.ts";
import type { Program } from "../../engine/program.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import type { ConditionBag } from "../../models/conditions.ts";
import { conditionInputs, type DenoiserSpec } from "../../models/denoiser.ts";
import { type Ablated, denoiseWithout } from "../../models/diffusion/ablated.ts";
import { createParameterisation, noiseLevels, type Preconditioning } from "../../models/diffusion/parameterisation.ts";
import type { EngineSettings } from "../../schemas/settings.ts";
import { deviceOf } from "./device.ts";

export interface FrequencyOptions {
  spec: DenoiserSpec;
  weights: Weights;
  /** Rows of a call, always. */
  batch: number;
  engine: EngineSettings;
}

/** The worker's methods; see engine/compute.ts. */
export async function create({ spec, weights, batch, engine: where }: FrequencyOptions) {
  const engine = await createEngine(deviceOf(where));
  const network = engine.constants("network", weights);
  const parameterisation = createParameterisation(spec.diffusion);
  const each = { shape: [batch] };
  const compile = (without?: string, onPlace?: (passed: Ablated) => void): Promise<Program> =>
    engine.compile({
      name: `denoiser${without === undefined ? "" : ` without ${without}`}`,
      sets: { network },
      inputs: {
        x: { shape: [batch, ...spec.shape] },
        cSkip: each,
        cOut: each,
        cIn: each,
        cNoise: each,
        ...conditionInputs(spec, batch),
      },
      run: ({ network: parameters }, inputs) => {
        const { x, cSkip, cOut, cIn, cNoise, ...given } = inputs as Preconditioning<Tensor> & Record<string, Tensor>;
        const coefficients = { cSkip, cOut, cIn, cNoise };
        return { outputs: { clean: denoiseWithout({ spec, parameters, x: x as Tensor, coefficients, given, without, onPlace }) } };
      },
    });
  const places: Ablated[] = [];
  const programs = new Map<string | undefined, Promise<Program>>([[undefined, compile(undefined, (passed) => void places.push(passed))]]);
  await programs.get(undefined);
  return {
    /** The places of the network, in the order in which they are passed. */
    places: async (): Promise<Ablated[]> => places,
    denoise: async (at: { x: Float32Array; sigma: number; conditions: ConditionBag; without?: string }): Promise<Float32Array> => {
      const { x, sigma, conditions, without } = at;
      const program = programs.get(without) ?? compile(without);
      programs.set(without, program);
      const { cSkip, cOut, cIn, cNoise } = noiseLevels(parameterisation, new Array<number>(batch).fill(sigma));
      const keep = Object.keys(conditionInputs(spec, batch)).length > 0 && { keep: new Float32Array(batch).fill(1) };
      const { clean } = await (await program).run({ x, cSkip, cOut, cIn, cNoise, ...conditions, ...keep });
      return clean as Float32Array;
    },
  };
}

export type FrequencyApi = Awaited<ReturnType<typeof create>>;
