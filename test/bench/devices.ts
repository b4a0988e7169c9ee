/**
 * Our programs on several devices of this machine, which take turns: milliseconds of a step, by those of the first device, and peak memory.
 *
 *   ONESTEP_TENSORFLOW=FOLDER node --import tsx test/bench/devices.ts --out docs/results/tensorflow.json
 *
 * Environment: DEVICES (cpu,tensorflow), THREADS (1), ROUNDS (8), ONLY (dit,unet,autoencoder,forward-16; any of peers/programs.ts).
 */
import { type Side, startSide } from "./peers/side.ts";
import { median, takeTurns } from "./peers/turns.ts";
import { openBench, rounded } from "./record.ts";

const { settings, record } = openBench({
  ...{ DEVICES: "cpu,tensorflow", THREADS: "1", ROUNDS: "8" },
  ONLY: "dit,unet,autoencoder,forward-16",
});
const ours = new URL("peers/ours.ts", import.meta.url).pathname;

for (const program of settings.ONLY.split(",")) {
  const sides: [string, Side][] = [];
  for (const device of settings.DEVICES.split(",")) {
    const environment = { THREADS: settings.THREADS, DEVICE: device };
    const side = await startSide([process.execPath, "--import", "tsx", ours, program], environment, ` on ${device}`);
    if ("close" in side) sides.push([device, side]);
    else console.log(`${program.padEnd(12)} ${device}: cannot run (${side.problem})`);
  }
  await takeTurns(
    sides.map(([, side]) => side),
    Number(settings.ROUNDS),
  );
  let first: { time: number; memory: number } | undefined;
  for (const [device, side] of sides) {
    const [time, memory] = [median(side.times), (await side.ask("memory")) as number];
    first ??= { time, memory };
    const by = { time: rounded(time / first.time, 3), memory: rounded(memory / first.memory, 3) };
    record({
      ...{
        program,
        device,
        threads: Number(settings.THREADS),
        "median, ms": rounded(time),
        "fastest, ms": rounded(Math.min(...side.times)),
      },
      ...{ "by the first": by.time, "peak, MB": rounded(memory), "peak by the first": by.memory },
    });
    console.log(
      `${program.padEnd(12)} ${device.padEnd(10)} median ${time.toFixed(1)} ms (${by.time}), peak ${memory.toFixed(0)} MB (${by.memory})`,
    );
    side.close();
  }
}
process.exit();
