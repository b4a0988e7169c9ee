/** Simulates TEACHER into OUT and kills itself at the given progress event; may keep states. */
import { simulate } from "../../pipelines/simulate.ts";
import { contextOf, settingsOf } from "./fixture.ts";

const [teacher, out, progress, steps] = process.argv.slice(2) as [string, string, string, string?];
let left = Number(progress);
const context = contextOf((event) => {
  if (event.type === "progress" && left-- === 0) process.kill(process.pid, "SIGKILL");
});
await simulate({ teacher, out, settings: settingsOf(steps ? { trajectory: steps.split(",").map(Number) } : {}), context });
