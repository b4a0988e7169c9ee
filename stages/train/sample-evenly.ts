/** Samples of any number of rows, by a program of one size. */
import type { SamplerInputs } from "../../models/diffusion/sampling.ts";

/** Rows a call of the sampler, always: a program of another size could round otherwise. */
export const SAMPLED_AT_ONCE = 32;

/** Latents of any number of rows from a sampler that is always called with {@link SAMPLED_AT_ONCE}: the last call repeats its first row. */
export async function sampleEvenly(sample: (inputs: SamplerInputs) => Promise<Float32Array>, inputs: SamplerInputs): Promise<Float32Array> {
  const { rows } = inputs;
  const made = new Float32Array(inputs.noise.length);
  const size = inputs.noise.length / rows;
  for (let from = 0; from < rows; from += SAMPLED_AT_ONCE) {
    const filled = <T extends Float32Array | Int32Array>(values: T): T => {
      const width = values.length / rows;
      const part = new (values.constructor as new (n: number) => T)(SAMPLED_AT_ONCE * width);
      for (let row = 0; row < SAMPLED_AT_ONCE; row++) {
        const source = from + row < rows ? from + row : from;
        part.set(values.subarray(source * width, (source + 1) * width), row * width);
      }
      return part;
    };
    const latents = await sample({
      noise: filled(inputs.noise),
      rows: SAMPLED_AT_ONCE,
      ...(inputs.fresh && { fresh: inputs.fresh.map(filled) }),
      ...(inputs.prior && { prior: filled(inputs.prior) }),
      conditions: Object.fromEntries(Object.entries(inputs.conditions).map(([name, values]) => [name, filled(values)])),
    });
    made.set(latents.subarray(0, Math.min(SAMPLED_AT_ONCE, rows - from) * size), from * size);
  }
  return made;
}
