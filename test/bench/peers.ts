/**
 * Times our programs and PyTorch's side by side: both processes stay alive and take turns of a few steps, so that
 * whatever else the machine does meets both. Prints medians, their ratio (below 1: we are faster) and peak memory.
 *
 *   node --import tsx test/bench/peers.ts [PYTHON ...]      e.g. /tmp/torch/bin/python /usr/bin/python3
 *
 * Environment: THREADS (1), ROUNDS (12), ONLY (all of programs.ts), COMPILE=1 adds torch.compile. `--out FILE.json`. ONLY may name
 * programs of published.py too, whose networks are made in the folder PUBLISHED (the largest of 3.4 GB).
 */
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NAMES } from "./peers/programs.ts";
import { type Side, startSide } from "./peers/side.ts";
import { median, takeTurns } from "./peers/turns.ts";
import { openBench, rounded } from "./record.ts";

const { settings, words, record } = openBench({
  THREADS: "1",
  ROUNDS: "12",
  ONLY: NAMES.join(","),
  COMPILE: "0",
  PUBLISHED: join(tmpdir(), "onestep-published"),
});
const { THREADS, ROUNDS, ONLY, COMPILE, PUBLISHED } = settings;

mkdirSync(PUBLISHED, { recursive: true });

/** Starts one side; `undefined`, with its complaint, where it cannot run. */
async function start(command: string[], environment: Record<string, string>, note: string): Promise<Side | undefined> {
  const side = await startSide(command, { THREADS, PUBLISHED, ...environment }, note);
  if ("close" in side) return side;
  console.log(`  ${command.join(" ")}${note}: cannot run (${side.problem})`);
  return undefined;
}

const path = (name: string): string => new URL(`peers/${name}`, import.meta.url).pathname;

const pythons = words.length > 0 ? words : ["python3"];
for (const name of ONLY.split(",")) {
  const modes = COMPILE === "1" ? ["0", "1"] : ["0"];
  const peers: Side[] = [];
  for (const python of pythons) {
    for (const mode of modes) {
      const peer = await start([python, path("peers.py"), name], { COMPILE: mode }, mode === "1" ? " compiled" : "");
      if (peer) peers.push(peer);
    }
  }
  // Ours comes last, for a peer may have to make the network that both read.
  const ours = await start([process.execPath, "--import", "tsx", path("ours.ts"), name], {}, "");
  const sides = [ours, ...peers].filter((side) => side !== undefined);
  await takeTurns(sides, Number(ROUNDS));
  for (const side of sides) {
    const [time, least, memory] = [median(side.times), Math.min(...side.times), (await side.ask("memory")) as number];
    const ratio =
      side === ours || !ours
        ? ""
        : `, ours / theirs ${(median(ours.times) / time).toFixed(2)}, of the fastest ${(Math.min(...ours.times) / least).toFixed(2)}`;
    console.log(
      `${name.padEnd(12)} ${side.version.padEnd(28)} median ${time.toFixed(1)} ms, fastest ${least.toFixed(1)} ms, peak ` +
        `${memory.toFixed(0)} MB${ratio}`,
    );
    record({
      ...{ program: name, side: side === ours ? "onestep" : side.version, threads: Number(THREADS) },
      ...{ "median, ms": rounded(time), "fastest, ms": rounded(least), "peak, MB": rounded(memory) },
      "ours / theirs": side === ours || !ours ? "" : rounded(median(ours.times) / time, 3),
    });
    side.close();
  }
}
process.exit();
