/** What `engine.device: auto` stands for: the device that multiplies matrices fastest here, by trying. */
import { prepareTensorflow } from "../../engine/tensorflow.ts";
import type { Context } from "../../schemas/events.ts";
import type { Settings } from "../../schemas/settings.ts";
import { productTime } from "./speed.ts";
import { tensorflowWarning } from "./tensorflow.ts";
import { hasCudaProvider } from "./versions.ts";

/** Settings with a device in the place of `auto`, which is reported with what was measured. */
export async function withDevice(settings: Settings, { report, signal }: Context): Promise<Settings> {
  if (settings.engine.device === "tensorflow") {
    prepareTensorflow(settings.engine.threads);
    const message = await tensorflowWarning(signal);
    if (message !== undefined) report({ type: "warning", stage: "engine", message });
  }
  if (settings.engine.device !== "auto") return settings;
  const candidates = ["cpu", "webgpu", ...(hasCudaProvider() ? ["cuda"] : [])] as ("cpu" | "webgpu" | "cuda")[];
  const { threads } = settings.engine;
  const measured: { device: (typeof candidates)[number]; ms: number }[] = [];
  for (const device of candidates) {
    const ms = await productTime(device, { threads, signal });
    if (ms !== undefined) measured.push({ device, ms });
  }
  measured.sort((a, b) => a.ms - b.ms);
  const device = measured[0]?.device ?? "cpu";
  const figures = measured.map(({ device: name, ms }) => `${name} ${ms.toFixed(1)} ms`).join(", ");
  report({
    type: "note",
    stage: "engine",
    message: `device "auto" is ${device} here (4.3 GFLOP of products: ${figures || "no device answered"})`,
  });
  return { ...settings, engine: { ...settings.engine, device } };
}
