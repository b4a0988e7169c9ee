/** What may go wrong under a store while it is made: each ends in one clear sentence, loses nothing, and can be gone on from. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, chmodSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { simulate } from "../../pipelines/simulate.ts";
import { train } from "../../pipelines/train.ts";
import { manifestText } from "../../schemas/manifest.ts";
import { readLatestCheckpoint, writeCheckpoint } from "../../stages/train/checkpoint.ts";
import { holdFolder } from "../../store/places/lock.ts";
import { openStore } from "../../store/shards/store.ts";
import { verifyStore } from "../../store/making/verify.ts";
import { scriptWords } from "../fixtures/script.ts";
import { assert, suite } from "../harness.ts";
import { contentsOf, contextOf, freshFolder, writeRun } from "../simulate/fixture.ts";
import { commands, type Job, prepareJob, settings } from "./job.ts";

const test = suite("faults");
const victim = fileURLToPath(new URL("victim.ts", import.meta.url));

let job: Job;
let files: Record<string, string>; // of the unbroken store
test.before(
  async () => {
    job = await prepareJob();
    files = contentsOf(job.triples);
  },
  { seconds: 60 },
);

const make = (out: string, teacher = job.teacher, changes = settings) =>
  simulate({ teacher, out, settings: changes, context: contextOf() });

/** What stands there is sound, and going on from it gives the unbroken store. */
async function goesOn(out: string): Promise<void> {
  const findings = await verifyStore(await openStore({ folder: out }));
  assert.equal(
    findings.filter(({ file }) => file !== "journal.jsonl"),
    [],
  );
  await make(out);
  assert.equal(contentsOf(out), files);
}

const mounts: string[] = [];
process.prependListener("exit", () => mounts.forEach((folder) => void spawnSync("umount", ["-l", folder]))); // before the folders go

/** A file system of so many kilobytes; undefined where this process may not mount one. */
function mount(kilobytes: number): { folder: string; remount: (how: string) => void } | undefined {
  const folder = freshFolder();
  mkdirSync(folder);
  const run = (...args: string[]) => spawnSync("mount", args).status === 0;
  if (process.platform !== "linux" || !run("-t", "tmpfs", "-o", `size=${kilobytes}k`, "tmpfs", folder)) return undefined;
  mounts.push(folder);
  return { folder, remount: (how) => assert.ok(run("-o", `remount,${how}`, folder)) };
}

const disk = mount(96);
if (disk) {
  test("a full disk", async () => {
    const out = join(disk.folder, "store");
    await assert.rejects(
      make(out),
      /Cannot write .*: the disk is full. Free some space and run the same command again; everything finished is kept/,
    );
    assert.ok(Object.keys(contentsOf(out)).some((name) => name.startsWith("shards/")));
    assert.not(Object.keys(contentsOf(out)).some((name) => name.endsWith(".tmp")));
    disk.remount("size=8m");
    await goesOn(out);
  });

  test("a disk that fills up under a checkpoint keeps the one before", async () => {
    const folder = join(disk.folder, "run");
    const sets = (value: number) => ({ student: { w: { shape: [4096], data: new Float32Array(4096).fill(value) } } });
    await writeCheckpoint({ folder, step: 1, sets: sets(1) });
    writeFileSync(join(disk.folder, "ballast"), new Uint8Array(7_600_000 - 20_000));
    disk.remount("size=7800k");
    const big = { student: { w: { shape: [100_000], data: new Float32Array(100_000) } } };
    await assert.rejects(writeCheckpoint({ folder, step: 2, sets: big }), /the disk is full/);
    assert.is((await readLatestCheckpoint({ folder }))?.sets.student?.w?.data[0], 1);
    rmSync(join(disk.folder, "ballast"));
    disk.remount("size=8m");
  });

  test("a disk too full for the file that holds a folder names that file", async () => {
    const ballast = join(disk.folder, "ballast");
    assert.throws(() => {
      for (;;) appendFileSync(ballast, new Uint8Array(4096));
    }, /ENOSPC/);
    await assert.rejects(holdFolder({ folder: disk.folder, command: "export" }), /Cannot write .*\.onestep\.lock: the disk is full/);
    rmSync(ballast);
  });

  test("a file system that turns read-only", async () => {
    const out = join(disk.folder, "other");
    let [from, isReadOnly] = [9, false];
    const context = contextOf((event) => {
      if (event.type !== "progress" || event.done < from || isReadOnly) return;
      try {
        disk.remount("ro");
        isReadOnly = true;
      } catch {
        from = event.done + 1; // a file is being written just now
      }
    });
    const run = simulate({ teacher: job.teacher, out, settings, context });
    await assert.rejects(run, /Cannot write .*: the file system is read-only. Choose another folder with --out/);
    disk.remount("rw");
    await goesOn(out);
  });
} else {
  for (const name of [
    "a full disk",
    "a disk that fills up under a checkpoint keeps the one before",
    "a file system that turns read-only",
  ]) {
    test.skip(name, "this process may not mount a small file system");
  }
}

if (process.getuid?.() === 0) {
  test.skip("a folder without write permission", "root may write everywhere; see the file system that turns read-only");
} else {
  test("a folder without write permission", async () => {
    const out = freshFolder();
    mkdirSync(out);
    chmodSync(out, 0o500);
    await assert.rejects(make(out), /permission is denied. Make the folder writable or choose another with --out/);
    chmodSync(out, 0o700);
    await goesOn(out);
  });
}

if (process.platform === "win32") test.skip("a file-size limit", "Windows has none");
else {
  test(
    "a file-size limit",
    async () => {
      const out = freshFolder();
      cpSync(job.triples, out, { recursive: true });
      rmSync(join(out, "shards"), { recursive: true });
      rmSync(join(out, "summary.json"));
      // 2 kB: less than a shard. Caches of the loader would be cut off too, so it gets none.
      const command = [process.execPath, ...scriptWords(victim)].map((word) => `"${word}"`).join(" ");
      const line = `ulimit -f 2; exec ${command} simulate "${out}" '${JSON.stringify(job)}'`;
      const env = { ...process.env, TSX_DISABLE_CACHE: "1" };
      const child = spawn("bash", ["-c", line], { stdio: ["ignore", "ignore", "pipe"], env });
      let said = "";
      child.stderr.on("data", (chunk) => (said += chunk));
      await once(child, "close");
      assert.match(said, /Cannot write .*: the file is larger than this system allows. Use smaller shards/);
      await goesOn(out);
    },
    { seconds: 60 },
  );
}

test("a folder removed in the middle", async () => {
  const out = freshFolder();
  const context = contextOf((event) => {
    if (event.type === "progress" && event.done === 15) rmSync(out, { recursive: true, force: true });
  });
  const run = simulate({ teacher: job.teacher, out, settings, context });
  await assert.rejects(run, /folder was removed. Run the same command again/);
  rmSync(out, { recursive: true, force: true });
  await make(out);
  assert.equal(contentsOf(out), files);
});

test(
  "two processes told to make the same shards",
  async () => {
    const out = freshFolder();
    const run = async () => {
      const child = spawn(process.execPath, [...scriptWords(victim), "simulate", out, JSON.stringify(job)], {
        stdio: ["ignore", "ignore", "inherit"],
      });
      return (await once(child, "close"))[0];
    };
    assert.equal(await Promise.all([run(), run()]), [0, 0]);
    assert.equal(contentsOf(out), files);
  },
  { seconds: 90 },
);

test("a clock that jumps", async () => {
  const { now } = Date;
  let calls = 0;
  try {
    Date.now = () => now() + (calls++ % 2 === 0 ? -1 : 1) * 1e12 * calls; // decades back and forth
    const [triples, latents] = [freshFolder(), freshFolder()];
    await make(triples);
    assert.equal(contentsOf(triples), files);
    await commands.ingest!(job, latents, contextOf());
    Date.now = now;
    const again = freshFolder();
    await commands.ingest!(job, again, contextOf());
    assert.equal(contentsOf(latents), contentsOf(again));
  } finally {
    Date.now = now;
  }
});

test("a store of a newer version, of other weights, of another device or other settings is left as it is", async () => {
  const out = freshFolder();
  cpSync(job.triples, out, { recursive: true });
  const other = await writeRun({ weights: "zero" });
  const gpu = { ...settings, engine: { ...settings.engine, device: "webgpu" as const } };
  await assert.rejects(
    make(out, other),
    /Cannot go on with the store .*: it was made with other settings \(.*teacher.hash is another.*\). Choose another folder/,
  );
  await assert.rejects(make(out, job.teacher, gpu), /engine.device: "cpu" instead of "webgpu"/);
  await assert.rejects(make(out, job.teacher, { ...settings, seed: 6 }), /seed: "5" instead of "6"/);
  const wrong = train({ store: out, teacher: other, out: freshFolder(), settings, context: contextOf() });
  await assert.rejects(wrong, /another teacher than .* made it \(teacher\.hash.*\). Name the run that simulate was given/);
  assert.equal(contentsOf(out), files);

  const { fingerprint: _, ...content } = JSON.parse(readFileSync(join(out, "store.json"), "utf8"));
  writeFileSync(join(out, "store.json"), manifestText({ ...content, version: 2, novelty: true }));
  const newer = contentsOf(out);
  const message = /it has format version 2 and this program reads up to 1. Update onestep/;
  await assert.rejects(make(out), message);
  await assert.rejects(simulate({ teacher: job.teacher, out, work: { repair: true }, settings, context: contextOf() }), message);
  await assert.rejects(train({ store: out, teacher: job.teacher, out: freshFolder(), settings, context: contextOf() }), message);
  assert.equal(contentsOf(out), newer);
});

test.run();
