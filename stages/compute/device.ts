import type { EngineSettings } from "../../schemas/settings.ts";

/** The engine's options for the settings: `auto` is the CPU until a better device has been tried. */
export function deviceOf({ device, threads }: EngineSettings): { device: "cpu" | "webgpu" | "cuda" | "tensorflow"; threads: number } {
  return { device: device === "auto" ? "cpu" : device, threads };
}
