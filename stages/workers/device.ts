import type { Device } from "../../engine/session.ts";
import type { Precision } from "../../engine/precision.ts";
import type { EngineSettings } from "../../schemas/settings.ts";

/** The engine's options for the settings. `auto` is the CPU here; the command line has put a device in its place. */
export function deviceOf({ device, threads, precision }: EngineSettings): {
  device: Device | "tensorflow";
  threads: number;
  precision: Precision;
} {
  return { device: device === "auto" ? "cpu" : device, threads, precision };
}
