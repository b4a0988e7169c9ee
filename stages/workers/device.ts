import type { Device } from "../../engine/session.ts";
import type { Precision } from "../../engine/precision.ts";
import type { EngineSettings } from "../../schemas/settings.ts";

/** The engine's options for the settings. `auto` is the CPU here; the command line has put a device in its place. */
export function deviceOf({ device, cards, threads, precision }: EngineSettings): {
  device: Device | "tensorflow";
  /** The first of several of its kind, where they are numbered. */
  card?: number;
  threads: number;
  precision: Precision;
} {
  return { device: device === "auto" ? "cpu" : device, ...(cards && { card: cards[0] }), threads, precision };
}

/** The engine's settings with the card of one of several workers, which take the cards in turn. */
export function onCard(engine: EngineSettings, worker: number): EngineSettings {
  const { cards } = engine;
  return cards ? { ...engine, cards: [cards[worker % cards.length] as number] } : engine;
}
