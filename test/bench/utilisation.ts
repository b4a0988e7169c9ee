/** How busy an NVIDIA card is while something runs. */
import { spawn } from "node:child_process";
import { rounded } from "./record.ts";

/** Samples the card twice a second until called: how busy it was, on average, and the most memory in use. */
export function utilisation(): () => Promise<string> {
  const query = ["--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits", "-lms", "500"];
  const child = spawn("nvidia-smi", query, { stdio: ["ignore", "pipe", "ignore"] });
  let text = "";
  child.stdout.on("data", (data) => (text += data));
  child.on("error", () => {});
  return async () => {
    child.kill();
    const samples = text
      .trim()
      .split("\n")
      .map((line) => line.split(",").map(Number));
    const [busy, memory] = [0, 1].map((i) => samples.map((sample) => sample[i] ?? 0)) as [number[], number[]];
    return `${rounded(busy.reduce((a, b) => a + b, 0) / busy.length, 3)} % busy, ${Math.max(...memory)} MiB`;
  };
}
