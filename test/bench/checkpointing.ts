/**
 * Prints what memory and time a training step takes with and without gradient checkpointing: a DiT of 12 blocks on 1,024 tokens, and
 * attention over 4,096 tokens that is taken in pieces. THREADS (1), STEPS (3), ONLY (dit,attention) come from the environment;
 * `--out FILE.json`.
 *
 * Each figure comes from a process of its own: its peak (VmHWM of Linux) over the steps, less what was resident before the first one,
 * and the fastest step in processor time. That the loss is the same to the last bit is checked on the way.
 */
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createEngine, type Engine } from "../../engine/engine.ts";
import { attentionStep, ditStep } from "../../stages/bench/programs.ts";
import type { Step } from "../../stages/bench/sampling.ts";
import { openBench, rounded } from "./record.ts";

const programs: Record<string, (engine: Engine, checkpointing: boolean) => Promise<Step>> = {
  dit: (engine, checkpointing) => ditStep(engine, { depth: 12, batch: 1, width: 128, side: 64, checkpointing }),
  attention: (engine, checkpointing) => attentionStep(engine, { checkpointing }),
};

interface Measured {
  bytes: number;
  seconds: number;
  loss: number;
}

const status = (key: string): number => 1024 * Number(new RegExp(`${key}:\\s+(\\d+)`).exec(readFileSync("/proc/self/status", "utf8"))?.[1]);

/** What the measuring process does. */
async function measure(name: string, checkpointing: boolean): Promise<Measured> {
  const engine = await createEngine({ device: "cpu", threads: Number(settings.THREADS), cache: false });
  const step = await (programs[name] as (typeof programs)[string])(engine, checkpointing);
  writeFileSync("/proc/self/clear_refs", "5"); // the peak begins anew
  const before = status("VmRSS");
  const times: number[] = [];
  let loss = 0;
  for (let i = 0; i < Number(settings.STEPS); i++) {
    const start = process.cpuUsage();
    loss = (await step(i)).loss as number;
    const { user, system } = process.cpuUsage(start);
    times.push((user + system) / 1e6);
  }
  await engine.dispose();
  return { bytes: status("VmHWM") - before, seconds: Math.min(...times), loss };
}

const { settings, words, record } = openBench({ THREADS: "1", STEPS: "3", ONLY: "dit,attention" });
const [what, name, checkpointing] = words;
if (what === "measure") console.log(JSON.stringify(await measure(name as string, checkpointing === "blocks")));
else {
  for (const program of settings.ONLY.split(",")) {
    const measured = async (how: string): Promise<Measured> => {
      const { stdout } = await promisify(execFile)(process.execPath, [
        ...process.execArgv,
        fileURLToPath(import.meta.url),
        ...["measure", program, how],
      ]);
      return JSON.parse(stdout) as Measured;
    };
    const [off, blocks] = [await measured("off"), await measured("blocks")];
    if (off.loss !== blocks.loss) throw new Error(`${program}: the loss is ${blocks.loss} with checkpointing and ${off.loss} without`);
    const row = {
      program,
      ...{ "bytes without": off.bytes, "bytes with": blocks.bytes, "memory, with / without": rounded(blocks.bytes / off.bytes, 3) },
      ...{ "s a step without": rounded(off.seconds, 3), "s a step with": rounded(blocks.seconds, 3) },
      "time, with / without": rounded(blocks.seconds / off.seconds, 3),
    };
    console.log(JSON.stringify(row));
    record(row);
  }
}
