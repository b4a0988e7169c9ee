/**
 * Prints what one training step costs: wall time and processor time, medians in ms. THREADS (1), STEPS (12) and
 * ONLY (dit,dit6,unet,autoencoder, of the names in stages/bench/programs.ts) come from the environment; `--out FILE.json`.
 */
import { createEngine } from "../../engine/engine.ts";
import { benchProgram } from "../../stages/bench/programs.ts";
import { openBench, rounded } from "./record.ts";

const { settings, record } = openBench({ THREADS: "1", STEPS: "12", ONLY: "dit,dit6,unet,autoencoder" });
const { THREADS, STEPS, ONLY } = settings;

/** Also puts the values in order. */
const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] as number;

for (const name of ONLY.split(",")) {
  const program = benchProgram(name);
  const engine = await createEngine({ device: "cpu", threads: Number(THREADS) });
  const begin = performance.now();
  const step = await program.start(engine);
  const compiled = performance.now() - begin;
  const wall: number[] = [];
  const processor: number[] = [];
  let loss: number | undefined;
  for (let i = 0; i < Number(STEPS); i++) {
    const [start, used] = [performance.now(), process.cpuUsage()];
    ({ loss } = await step(i));
    const { user, system } = process.cpuUsage(used);
    wall.push(performance.now() - start);
    processor.push((user + system) / 1000);
  }
  const [middle, used, fastest] = [median(wall), median(processor), processor[0] as number];
  console.log(
    `${name.padEnd(12)} wall ${middle.toFixed(1)} ms, processor ${used.toFixed(1)} ms, fastest ${fastest.toFixed(1)} ms, ` +
      `compiling ${compiled.toFixed(0)} ms, loss ${loss?.toFixed(6)}`,
  );
  record({
    program: name,
    threads: Number(THREADS),
    ...{ "wall, ms": rounded(middle), "processor, ms": rounded(used), "fastest processor, ms": rounded(fastest) },
    "until the first step, ms": rounded(compiled),
  });
  await engine.dispose();
}
