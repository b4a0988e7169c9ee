/** A process that holds a folder until its input ends: `holder.ts FOLDER COMMAND shared|alone [BEAT]`. Prints what came of it. */
import { holdFolder } from "../../store/places/lock.ts";

const [folder, command, mode, beat] = process.argv.slice(2) as [string, string, string, string?];
try {
  const release = await holdFolder({ folder, command, shared: mode === "shared", ...(beat && { beat: Number(beat) }) });
  console.log("held");
  process.stdin.on("end", async () => {
    await release();
    console.log("released");
  });
  process.stdin.resume();
} catch (error) {
  console.log((error as Error).message);
}
