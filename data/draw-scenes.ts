/** Draws the built-in set into a zip: npx tsx data/draw-scenes.ts OUT.zip [COUNT=2880] [SEED=0] */
import { writeSceneZip } from "./scenes/build.ts";

const [path, count = "2880", seed = "0"] = process.argv.slice(2);
if (!path) {
  console.error("Usage: npx tsx data/draw-scenes.ts OUT.zip [COUNT=2880] [SEED=0]");
  process.exit(2);
}
await writeSceneZip({ path, count: Number(count), seed: Number(seed) });
