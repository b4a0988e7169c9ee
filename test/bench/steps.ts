/**
 * Prints what one training step costs: wall time and processor time, medians in ms. THREADS (1), STEPS (12) and
 * ONLY (dit,dit6,unet,autoencoder, of the names in stages/bench/programs.ts) come from the environment.
 */
import { createEngine } from "../../engine/engine.ts";
import { benchProgram } from "../../stages/bench/programs.ts";

const { THREADS = "1", STEPS = "12", ONLY = "dit,dit6,unet,autoencoder" } = process.env;

const median = (values: number[]): string => (values.sort((a, b) => a - b)[values.length >> 1] as number).toFixed(1);

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
  console.log(
    `${name.padEnd(12)} wall ${median(wall)} ms, processor ${median(processor)} ms, fastest ${processor[0]?.toFixed(1)} ms, ` +
      `compiling ${compiled.toFixed(0)} ms, loss ${loss?.toFixed(6)}`,
  );
  await engine.dispose();
}
