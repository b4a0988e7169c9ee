import { writeSceneZip } from "../data/scenes/build.ts";
const t=performance.now();
await writeSceneZip({ path: "/tmp/demo/scenes.zip", count: 12000, seed: 1 });
console.log(performance.now()-t);
