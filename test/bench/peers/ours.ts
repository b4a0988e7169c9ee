/** One of programs.ts in a process of its own, spoken to as peers.py is. */
import { createInterface } from "node:readline";
import { compileStep } from "./programs.ts";

const step = await compileStep(process.argv[2] as string, Number(process.env.THREADS ?? 1));
await step();
console.log(JSON.stringify({ version: "onestep" }));
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "memory") {
    console.log(JSON.stringify(process.resourceUsage().maxRSS / 1024));
    continue;
  }
  const times: number[] = [];
  for (let i = 0; i < Number(line); i++) {
    const start = performance.now();
    await step();
    times.push(performance.now() - start);
  }
  console.log(JSON.stringify(times));
}
process.exit();
