/** How far the perceptual distance alone leads, without and with augmentation: npx tsx test/bench/elatentlpips.ts [steps] */
import { descend } from "../models/descent.ts";

const steps = Number(process.argv[2] ?? 1000);
for (const groups of [undefined, "b", "bg", "bgr", "bgo", "bgco"]) {
  const errors = await descend({ ...(groups && { groups }), steps, every: 100 });
  console.log((groups ?? "none").padEnd(5), errors.map((error) => error.toFixed(4)).join(" "));
}
