import { normals } from "../../schemas/numbers/philox.ts";
import type { Settings } from "../../schemas/settings.ts";
import type { Denoiser } from "../runs/model.ts";
import { startSampler } from "../workers/start-sampler.ts";

/** Seconds a triple takes this teacher with these solver settings: the second of two timed batches. */
export async function secondsPerTriple(
  { description: { spec }, weights }: Denoiser,
  { settings, signal }: { settings: Settings; signal: AbortSignal },
): Promise<number> {
  const { batch, ...plan } = settings.simulate;
  const sampler = await startSampler({ spec, weights, plan, batch, engine: settings.engine, signal });
  try {
    const inputs = {
      rows: batch,
      noise: normals({ seed: 0, stream: "doctor", length: batch * spec.shape.reduce((a, b) => a * b, 1) }),
      conditions: { label: new Int32Array(batch), tokens: new Int32Array(batch * spec.network.captionTokens) },
    };
    await sampler.call("sample", inputs);
    const started = performance.now();
    await sampler.call("sample", inputs);
    return (performance.now() - started) / 1000 / batch;
  } finally {
    await sampler.close();
  }
}
