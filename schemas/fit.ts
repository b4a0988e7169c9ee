/**
 * Rules of which settings fit each other. Whoever owns settings (a family of networks, an encoder, a method) says what
 * holds of them in this form; recipes/fit.ts gathers all of them, and writes the sentences.
 */
import type { NetworkSettings } from "./settings.ts";

/** Settings that must fit each other. `T` is what the rule looks at. */
export interface FitRule<T> {
  /** Their paths, at least two. The first is the one that a user would have to have asked for where `unasked` is given. */
  settings: readonly string[];
  /** What is wrong and what to do, as the end of a sentence that has named them; undefined where they fit. */
  why: (subject: T) => string | undefined;
  /**
   * What happens where nobody asked for the first of them, and a default or preset set it; they are refused otherwise. The warning
   * is for those who asked for one of the others.
   */
  unasked?: "warn" | "pass";
  /** True where it is only wasteful: a warning, where one of them was asked for. */
  isWaste?: boolean;
}

/** Settings that may have no effect. */
export interface IdleRule<T> {
  settings: readonly string[];
  /** Why they have none, as the end of a sentence; undefined where they have one. */
  why: (subject: T) => string | undefined;
}

export interface Rules<T> {
  fit?: readonly FitRule<T>[];
  idle?: readonly IdleRule<T>[];
}

/** A network that is yet to be made, and the shape [height, width, channels] of its latents where that is known. */
export interface PlannedNetwork {
  network: NetworkSettings;
  shape?: readonly [number, number, number];
}
