/** What is waited for is told, and a wait in vain ends. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openVigil } from "../../stages/runs/vigil.ts";
import { waiting } from "../../stages/train/waiting.ts";
import { waitForShard } from "../../store/rows/follow.ts";
import { holdFolder } from "../../store/places/lock.ts";
import { createLatentStore } from "../../store/rows/latents.ts";
import type { Store } from "../../store/shards/store.ts";
import { scriptWords } from "../fixtures/script.ts";
import { assert, suite } from "../harness.ts";
import { fillShard, freshFolder, latentManifest } from "../store/fixture.ts";
import { recordingContext } from "../train/fixture.ts";

const test = suite("vigil");
const script = fileURLToPath(new URL("../store/holder.ts", import.meta.url));
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A wait for a shard of a store under a vigil, by a clock that stands until it is told to go on, and what was said of it. */
function waitFor(store: Store, shard: number, blockedSince?: () => number | undefined) {
  const { context, events, stop } = recordingContext();
  let [clock, looks] = [0, -1]; // the first time that it asks is when the wait begins
  const now = (): number => {
    looks++;
    return clock;
  };
  const pace = { look: 20, told: 300, grace: 1000, now };
  /** Until the vigil has looked at a clock so much later. */
  const after = async (ms: number): Promise<void> => {
    while (looks < 0) await pause(5);
    clock += ms;
    for (const before = looks; looks < before + 2 && !vigil.signal.aborted; ) await pause(5);
  };
  const vigil = openVigil({ stage: "train", context, pace, ...(blockedSince && { blockedSince }) });
  const ended = waitForShard(store, shard, { signal: vigil.signal, poll: 20, onWait: () => vigil.onWait(store.folder, shard) }).finally(
    vigil.close,
  );
  ended.catch(() => {});
  return { ended, stop, after, said: () => events.flatMap((event) => ("message" in event ? event.message : [])) };
}

const storeOf = () => createLatentStore({ folder: freshFolder(), manifest: latentManifest() });

test("a wait that lasts is told with its shard and its beginning, again ever more seldom, and its end", async () => {
  const store = await storeOf();
  const { ended, said, after } = waitFor(store, 3);
  await after(299);
  assert.equal(said(), [], "not at once");
  for (const [ms, count] of [
    [1, 1], // at 300
    [599, 1],
    [1, 2], // at 900
    [1799, 2],
    [1, 3], // at 2700
  ] as const) {
    await after(ms);
    assert.is(said().length, count, said().join("\n"));
  }
  assert.match(
    said()[0]!,
    new RegExp(`^waits for shard 3 of ${store.folder} since \\d\\d:\\d\\d:\\d\\d UTC, .* by now; no process is making it now$`),
  );
  await fillShard(store, 3);
  await ended;
});

test("nothing is told of a wait while there is other work", async () => {
  const store = await storeOf();
  const { said, stop, after } = waitFor(store, 3, () => undefined);
  await after(600);
  assert.equal(said(), []);
  stop(new Error("over"));
});

test("a living maker is waited for", async () => {
  const store = await storeOf();
  const release = await holdFolder({ folder: store.folder, command: "simulate", shared: true });
  const { ended, said, after } = waitFor(store, 0);
  await after(300);
  await after(600);
  assert.ok(said().length === 2 && said().every((message) => !message.includes("no process")), said().join("\n"));
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
  const { ended, after } = waitFor(store, 2);
  const message = new RegExp(
    `waits for shard 2 of .* since .* UTC, and simulate \\(process ${child.pid} on .*\\), which made it, has ended without finishing. ` +
      "Start simulate again",
  );
  const failure = assert.rejects(ended, message);
  await after(1);
  await after(1001);
  await failure;

  const again = waitFor(store, 2);
  await again.after(1);
  await again.after(999);
  const release = await holdFolder({ folder: store.folder, command: "simulate", shared: true });
  await again.after(1500);
  await again.after(1500);
  await fillShard(store, 2);
  await again.ended;
  await release();
});

test("a store that is removed ends the wait", async () => {
  const store = await storeOf();
  const { ended, after } = waitFor(store, 0);
  await after(60);
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
