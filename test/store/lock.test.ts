/** One owner at a time, with processes that are really there, really killed, and really come at once. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { holdFolder, makersOf } from "../../store/places/lock.ts";
import { scriptWords } from "../fixtures/script.ts";
import { assert, suite } from "../harness.ts";

const test = suite("lock");
const script = fileURLToPath(new URL("holder.ts", import.meta.url));
const top = mkdtempSync(join(tmpdir(), "onestep-lock-"));
const children = new Set<ChildProcessWithoutNullStreams>();
test.after(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(top, { recursive: true, force: true });
});

const fresh = (): string => mkdtempSync(join(top, "folder-"));
const OWNER = ".onestep.lock";
const locksIn = (folder: string): string[] => readdirSync(folder).sort();

/** Starts a process that holds a folder; answers it with its first line. */
async function holder(folder: string, command: string, mode: "shared" | "alone", beat?: number) {
  const args = [...scriptWords(script), folder, command, mode, ...(beat ? [String(beat)] : [])];
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] }) as unknown as ChildProcessWithoutNullStreams;
  children.add(child);
  child.stdout.setEncoding("utf8");
  const [said] = (await once(child.stdout, "data")) as [string];
  return {
    said: said.trim(),
    pid: child.pid as number,
    kill: async () => {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
    end: async () => {
      child.stdin.end();
      await once(child, "exit");
    },
  };
}

test("a second process is refused by the name of the first, until that ends", async () => {
  const folder = fresh();
  const first = await holder(folder, "train", "alone");
  assert.is(first.said, "held");
  const second = await holder(folder, "train", "alone");
  assert.match(
    second.said,
    new RegExp(`^Cannot train in .*: train is at work there \\(process ${first.pid} on ${hostname()}, since 20\\d\\d-.* UTC\\)\\.`),
  );
  await assert.rejects(holdFolder({ folder, command: "pretrain" }), /Cannot pretrain in .*: train is at work there/);
  await assert.rejects(holdFolder({ folder, command: "simulate", shared: true }), /train is at work there/);
  await first.end();
  assert.equal(locksIn(folder), [], "nothing is left behind, by those refused neither");
  await (await holdFolder({ folder, command: "train" }))();
});

test("what a killed process left is taken over at once", async () => {
  const folder = fresh();
  const first = await holder(folder, "train", "alone");
  await first.kill();
  assert.equal(locksIn(folder), [OWNER]);
  const release = await holdFolder({ folder, command: "train", onWatch: () => assert.unreachable("it is seen to be dead") });
  assert.is(JSON.parse(readFileSync(join(folder, OWNER), "utf8")).pid, process.pid);
  await release();
  assert.equal(locksIn(folder), []);
});

test("a process that only has the dead one's number does not count as it", async () => {
  const folder = fresh();
  const first = await holder(folder, "train", "alone");
  await first.kill();
  const path = join(folder, OWNER);
  const left = JSON.parse(readFileSync(path, "utf8"));
  if (left.started === undefined) return; // start times cannot be told here
  writeFileSync(path, JSON.stringify({ ...left, pid: process.pid })); // this process lives, and started at another time
  await (await holdFolder({ folder, command: "train" }))();
});

test(
  "of many that find a dead one's lock exactly one takes over",
  async () => {
    const folder = fresh();
    const dead = await holder(folder, "train", "alone");
    await dead.kill();
    const all = await Promise.all(Array.from({ length: 6 }, () => holder(folder, "train", "alone")));
    assert.is(all.filter(({ said }) => said === "held").length, 1);
    assert.is(all.filter(({ said }) => said.startsWith("Cannot train in")).length, 5);
    await Promise.all(all.filter(({ said }) => said === "held").map(({ end }) => end()));
    assert.equal(locksIn(folder), []);
  },
  { seconds: 60 },
);

test("many attempts in one process never hold at once", async () => {
  const folder = fresh();
  let [holding, most, held] = [0, 0, 0];
  const attempt = async (): Promise<void> => {
    const release = await holdFolder({ folder, command: "train" }).catch(() => undefined);
    if (!release) return;
    most = Math.max(most, ++holding);
    held++;
    await new Promise((resolve) => setImmediate(resolve));
    holding--;
    await release();
  };
  for (let i = 0; i < 20; i++) await Promise.all(Array.from({ length: 5 }, attempt));
  assert.is(most, 1);
  assert.ok(held >= 20, `${held}`);
});

test("makers share a folder, which nobody owns meanwhile; a dead one is known and forgotten", async () => {
  const folder = fresh();
  const [a, b] = await Promise.all([holder(folder, "simulate", "shared"), holder(folder, "simulate", "shared")]);
  assert.equal([a.said, b.said], ["held", "held"]);
  await assert.rejects(holdFolder({ folder, command: "repair" }), /Cannot repair in .*: simulate is at work there/);
  await a.kill();
  await b.end();
  assert.equal(
    (await makersOf(folder)).map(({ holder, alive }) => [holder.pid, alive]),
    [[a.pid, false]],
  );
  const release = await holdFolder({ folder, command: "repair" });
  assert.equal(locksIn(folder), [OWNER]);
  await release();
  const c = await holder(folder, "simulate", "shared");
  await c.kill();
  const again = await holdFolder({ folder, command: "simulate", shared: true });
  assert.is(locksIn(folder).length, 1, "the dead one's is gone");
  await again();
});

test("a maker waits for another that sees to a dead owner's lock, however slow that one is, and not for an owner", async () => {
  const folder = fresh();
  const slow = await holder(folder, "simulate", "alone");
  const path = join(folder, OWNER);
  const left = JSON.parse(readFileSync(path, "utf8"));
  await assert.rejects(holdFolder({ folder, command: "simulate", shared: true }), "simulate is at work there");
  writeFileSync(path, JSON.stringify({ ...left, passes: true }));
  const second = holdFolder({ folder, command: "simulate", shared: true });
  await new Promise((resolve) => setTimeout(resolve, 500)); // a machine may stop for as long at any place
  await assert.rejects(holdFolder({ folder, command: "repair" }), "simulate is at work there");
  await slow.end();
  await (await second)();
  assert.equal(locksIn(folder), []);
});

/** What a holder elsewhere left: its process cannot be seen from here. */
const elsewhere = { command: "train", host: "gpu7", pid: 12, since: "2026-01-02T03:04:05.678Z", world: "another boot", token: "abc123" };

test("a holder on another host is believed while it shows that it lives", async () => {
  const folder = fresh();
  const path = join(folder, OWNER);
  writeFileSync(path, JSON.stringify(elsewhere));
  const beating = setInterval(() => appendFileSync(path, " "), 100);
  try {
    const message = /train is at work there \(process 12 on gpu7, since 2026-01-02 03:04:05 UTC\)/;
    await assert.rejects(holdFolder({ folder, command: "train", beat: 200 }), message);
  } finally {
    clearInterval(beating);
  }
  await (await holdFolder({ folder, command: "train", beat: 200 }))();
  assert.equal(locksIn(folder), [], "and is taken for dead when it no longer does");
});

test("a living holder shows that it lives, so that others who cannot see it believe it", async () => {
  const folder = fresh();
  const first = await holder(folder, "train", "alone", 200);
  const path = join(folder, OWNER);
  const left = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, JSON.stringify({ ...left, world: "x".repeat(left.world.length) })); // as another host sees it
  await assert.rejects(holdFolder({ folder, command: "train", beat: 1000 }), `process ${first.pid}`);
  await first.end();
});

test("a copy of a held folder is not held, and a moved one is", async () => {
  const folder = fresh();
  const [first, maker] = [await holder(folder, "train", "alone"), fresh()];
  await holder(maker, "simulate", "shared");
  for (const original of [folder, maker]) {
    const copy = join(top, `copy-of-${basename(original)}`);
    cpSync(original, copy, { recursive: true });
    await (await holdFolder({ folder: copy, command: "train" }))();
    assert.equal(locksIn(copy), []);
  }
  const [moved, link] = [join(top, "moved"), join(top, "link")];
  symlinkSync(folder, link);
  await assert.rejects(holdFolder({ folder: link, command: "train" }), `process ${first.pid}`);
  renameSync(folder, moved);
  await assert.rejects(holdFolder({ folder: moved, command: "train" }), `process ${first.pid}`);
});

test("an interrupted watch ends, and leaves nothing", async () => {
  const folder = fresh();
  writeFileSync(join(folder, OWNER), JSON.stringify(elsewhere));
  const controller = new AbortController();
  let watched = "";
  const onWatch = ({ host } = elsewhere): void => {
    watched = host;
    setTimeout(() => controller.abort(), 50);
  };
  for (const shared of [false, true])
    await assert.rejects(holdFolder({ folder, command: "train", shared, signal: controller.signal, onWatch }), /abort/);
  assert.is(watched, "gpu7");
  assert.equal(locksIn(folder), [OWNER]);
});

test("a lock of this very process that it no longer holds is nobody's", async () => {
  const folder = fresh();
  const release = await holdFolder({ folder, command: "train" });
  const left = readFileSync(join(folder, OWNER));
  await assert.rejects(holdFolder({ folder, command: "train" }), "train is at work there");
  await release();
  writeFileSync(join(folder, OWNER), left); // as where its file could not be removed
  await (await holdFolder({ folder, command: "train" }))();
});

test("a lock torn by a kill is taken over", async () => {
  for (const text of ["", "{", '{"pid":']) {
    const folder = fresh();
    writeFileSync(join(folder, OWNER), text);
    await (await holdFolder({ folder, command: "train", beat: 50 }))();
    assert.equal(locksIn(folder), []);
  }
});

test("a process that exits without giving back leaves nothing", async () => {
  const folder = fresh();
  const code = `import { holdFolder } from ${JSON.stringify(new URL("../../store/places/lock.ts", import.meta.url).href)};
    await holdFolder({ folder: ${JSON.stringify(folder)}, command: "train" }); process.exit(3);`;
  const child = spawn(process.execPath, [...process.execArgv, "--input-type=module", "-e", code], { stdio: "inherit" });
  assert.is((await once(child, "exit"))[0], 3);
  assert.equal(locksIn(folder), []);
});

test.run();
