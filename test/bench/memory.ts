/**
 * Prints how resident memory grows over a training step repeated: `node --expose-gc --import tsx test/bench/memory.ts`.
 * STEPS (2000), DEVICE (cpu), THREADS (1), ONLY (dit; of dit, unet, autoencoder) come from the environment; `--out FILE.json`.
 */
import { createEngine, type Engine } from "../../engine/engine.ts";
import type { Device } from "../../engine/session.ts";
import { autoencoderStep, ditStep, unetStep } from "../../stages/bench/programs.ts";
import type { Step } from "../../stages/bench/sampling.ts";
import { residentGrowth } from "./resident.ts";
import { openBench, rounded } from "./record.ts";

const { settings, record } = openBench({ STEPS: "2000", DEVICE: "cpu", THREADS: "1", ONLY: "dit" });
const { STEPS, DEVICE, THREADS, ONLY } = settings;
const small: Record<string, (engine: Engine) => Promise<Step>> = {
  dit: (engine) => ditStep(engine, { depth: 2, batch: 4, width: 64 }),
  unet: unetStep,
  autoencoder: (engine) => autoencoderStep(engine, 1),
};

for (const name of ONLY.split(",")) {
  const engine = await createEngine({ device: DEVICE as Device, threads: Number(THREADS) });
  const run = await (small[name] as (engine: Engine) => Promise<Step>)(engine);
  const steps = Number(STEPS);
  const { slope, low, high, resident } = await residentGrowth({ steps: steps / 2, warmup: steps / 2, run });
  const bytes = (value: number): string => value.toFixed(0);
  console.log(
    `${name} on ${DEVICE}: ${bytes(slope)} bytes a step (half of the slopes between ${bytes(low)} and ${bytes(high)}) ` +
      `over the later ${steps / 2} of ${steps} steps, ${(resident / 2 ** 20).toFixed(0)} MiB resident`,
  );
  record({
    ...{ program: name, device: DEVICE, steps, "bytes a step": rounded(slope), "lower quartile": rounded(low) },
    ...{ "upper quartile": rounded(high), "resident at the end, MB": rounded(resident / 1e6) },
  });
  await engine.dispose();
}
