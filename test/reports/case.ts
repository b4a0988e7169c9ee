import type { Trial } from "./trial.ts";

/** A situation that people reported, or an attack: what is tried, and the faults that were seen. */
export interface Case {
  name: string;
  /** What stands in the trial's folder before: PNGs in pics/; with "small" also latents/, teacher/ and triples/ of them. */
  on?: "pictures" | "small";
  attempt: (trial: Trial) => Promise<string[]>;
}
