/** Whole runs of published pipelines against the golden vectors: after every call of the network, the latents and the picture. */
import { trajectoryParity } from "../../stages/published/trajectories.ts";
import { suite } from "../harness.ts";
import { holdToParity } from "./golden.ts";

const test = suite("published trajectories");

/** What golden.json compares of each pipeline. */
const COMPARED = { ddpm: 4, dit: 3, edm: 4, sd15: 19, sd21v: 9, sdxl: 7, pixart: 3, sd3: 5, flux: 7 };
for (const [pipeline, count] of Object.entries(COMPARED)) {
  holdToParity(test, { pipeline, what: "trajectories agree", count, parity: trajectoryParity, seconds: 120 });
}
test.run();
