/** What is waited for is told, and a wait in vain ends. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openVigil } from "../../stages/runs/vigil.ts";
import { waiting } from "../../stages/train/waiting.ts";
import { waitForShard } from "../../store/follow.ts";
import { holdFolder } from "../../store/lock.ts";
import { createLatentStore } from "../../store/latents.ts";
import type { Store } from "../../store/store.ts";
import { scriptWords } from "../fixtures/script.ts";
import { assert, suite } from "../harness.ts";
import { fillShard, freshFolder, latentManifest } from "../store/fixture.ts";
import { recordingContext } from "../train/fixture.ts";

const test = suite("vigil");
const script = fileURLToPath(new URL("../store/holder.ts", import.meta.url));
const pace = { look: 20, told: 300, grace: 1000 };
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A wait for a shard of a store under a vigil, and what was said of it. */
function waitFor(store: Store, shard: number, blockedSince?: () => number | undefined) {
  const { context, events, stop } = recordingContext();
  const vigil = openVigil({ stage: "train", context, pace, ...(blockedSince && { blockedSince }) });
  const ended = waitForShard(store, shard, { signal: vigil.signal, poll: 20, onWait: () => vigil.onWait(store.folder, shard) }).finally(
    vigil.close,
  );
  ended.catch(() => {});
  return { ended, stop, said: () => events.flatMap((event) => ("message" in event ? event.message : [])) };
}

const storeOf = () => createLatentStore({ folder: freshFolder(), manifest: latentManifest() });

test("a wait that lasts is told with its shard and its beginning, again ever more seldom, and its end", async () => {
  const store = await storeOf();
  const { ended, said } = waitFor(store, 3);
  await pause(60);
  assert.equal(said(), [], "not at once");
  await pause(1200);
  const told = said();
  assert.ok(told.length >= 2 && told.length <= 4, told.join("\n")); // after 0.3, 0.9 and perhaps 2.7 s
  assert.match(
    told[0]!,
    new RegExp(`^waits for shard 3 of ${store.folder} since \\d\\d:\\d\\d:\\d\\d UTC, .* by now; no process is making it now$`),
  );
  await fillShard(store, 3);
  await ended;
});

test("nothing is told of a wait while there is other work", async () => {
  const store = await storeOf();
  const { said, stop } = waitFor(store, 3, () => undefined);
  await pause(600);
  assert.equal(said(), []);
  stop(new Error("over"));
});

test("a living maker is waited for", async () => {
  const store = await storeOf();
  const release = await holdFolder({ folder: store.folder, command: "simulate", shared: true });
  const { ended, said } = waitFor(store, 0);
  await pause(800);
  assert.ok(said().length > 0 && said().every((message) => !message.includes("no process")), said().join("\n"));
  await fillShard(store, 0);
  await ended;
  await release();
});

test("a maker that was killed ends the wait, with its name; one started anew in time does not", async () => {
  const store = await storeOf();
  const child = spawn(process.execPath, [...scriptWords(script), store.folder, "simulate", "shared"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  child.kill("SIGKILL");
  await once(child, "exit");
  const { ended } = waitFor(store, 2);
  const message = new RegExp(
    `waits for shard 2 of .* since .* UTC, and simulate \\(process ${child.pid} on .*\\), which made it, has ended without finishing. ` +
      "Start simulate again",
  );
  await assert.rejects(ended, message);

  const again = waitFor(store, 2);
  await pause(60);
  const release = await holdFolder({ folder: store.folder, command: "simulate", shared: true });
  await pause(1500);
  await fillShard(store, 2);
  await again.ended;
  await release();
});

test("a store that is removed ends the wait", async () => {
  const store = await storeOf();
  const { ended } = waitFor(store, 0);
  await pause(60);
  rmSync(store.folder, { recursive: true });
  await assert.rejects(ended, /^Cannot go on waiting for shard 0 of .*: .*store\.json was removed\./);
});

test("a training waits from the asking for an item until it comes", async () => {
  const rows = waiting(async function* () {
    yield 1;
    yield 2;
  });
  assert.is(rows.since(), undefined);
  for await (const _ of rows.read()) assert.is(rows.since(), undefined, "while an item is at work");
  assert.ok(rows.since() !== undefined);
});

test.run();
