import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { uniforms } from "../../schemas/numbers/philox.ts";
import { removeTemporaries, writeAtomic } from "../../store/places/atomic.ts";
import { createLatentStore } from "../../store/rows/latents.ts";
import { readSummary, sealStore } from "../../store/shards/summary.ts";
import { verifyStore } from "../../store/making/verify.ts";
import { scriptWords } from "../fixtures/script.ts";
import { assert, suite } from "../harness.ts";
import { contentsOf, fill, fillShard, freshFolder, latentManifest } from "./fixture.ts";

const test = suite("kill");
const script = fileURLToPath(new URL("writer.ts", import.meta.url));
const size = { entries: 600, rowsPerShard: 2 };
const formats = { parquet: size, arrow: { ...size, entries: 200, shardFormat: "arrow" as const } };

/** Runs the writer; kills it `delay` ms after it is ready to write. Answers whether it finished. */
function write(folder: string, format: keyof typeof formats, delay?: number): Promise<boolean> {
  const end = delay === undefined ? "leaves" : "stays";
  const args = [...scriptWords(script), folder, String(formats[format].entries), String(size.rowsPerShard), format, end];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((resolve, reject) => {
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
      if (delay !== undefined) setTimeout(() => child.kill("SIGKILL"), delay);
    });
    child.on("error", reject);
    child.on("close", () => resolve(output.includes("done")));
  });
}

for (const [format, of] of Object.entries(formats) as [keyof typeof formats, typeof size][])
  test(
    `killed at random instants and restarted, the store is byte-identical (${format})`,
    async () => {
      const unbroken = await createLatentStore({ folder: freshFolder(), manifest: latentManifest(of) });
      await fill(unbroken, (id) => id % 11 === 3);
      await sealStore(unbroken);
      const folder = freshFolder();
      for (const delay of uniforms({ seed: 8, stream: "kills", length: 4 })) {
        assert.not(await write(folder, format, delay * 150));
        const store = await createLatentStore({ folder, manifest: latentManifest(of) });
        assert.equal(await verifyStore(store).then((all) => all.filter(({ file }) => file !== "journal.jsonl")), []);
      }
      const store = await createLatentStore({ folder, manifest: latentManifest(of) });
      if ((await readSummary(store)) === undefined) assert.ok(await write(folder, format));
      assert.equal(contentsOf(folder), contentsOf(unbroken.folder));
    },
    { seconds: 90 },
  );

test("two processes told to make the same shards lose nothing", async () => {
  const small = { entries: 40, rowsPerShard: 2 };
  const folder = freshFolder();
  const stores = await Promise.all([0, 1].map(() => createLatentStore({ folder, manifest: latentManifest(small) })));
  await Promise.all(stores.map((store) => fill(store)));
  await Promise.all(stores.map((store) => sealStore(store)));
  const alone = await createLatentStore({ folder: freshFolder(), manifest: latentManifest(small) });
  await fill(alone);
  await sealStore(alone);
  assert.equal(contentsOf(folder), contentsOf(alone.folder));
});

test("leftovers of dead processes go, work in progress stays", async () => {
  const folder = freshFolder();
  await writeAtomic(join(folder, "kept.txt"), "kept", async (scratch) => {
    const dead = scratch.replace(`-${process.pid}-`, "-999999999-");
    writeFileSync(dead, "torn");
    await removeTemporaries(folder);
    assert.equal(
      Object.keys(contentsOf(folder)).filter((name) => name.endsWith(".tmp")),
      [scratch.slice(folder.length + 1)],
    );
  });
  assert.equal(Object.keys(contentsOf(folder)), ["kept.txt"]);
});

test("a failing write leaves nothing, and says what to do", async () => {
  const folder = freshFolder();
  const full = Object.assign(new Error("no space"), { code: "ENOSPC" });
  await assert.rejects(
    writeAtomic(join(folder, "x"), "y", () => Promise.reject(full)),
    /Cannot write .*x: the disk is full. Free some space/,
  );
  assert.equal(contentsOf(folder), {});
});

if (process.getuid?.() === 0) {
  test.skip("a read-only folder is named", "root may write everywhere");
} else {
  test("a read-only folder is named", async () => {
    const folder = freshFolder();
    mkdirSync(folder);
    chmodSync(folder, 0o500);
    await assert.rejects(writeAtomic(join(folder, "x"), "y"), /permission is denied/);
  });
}

test("a store that lost its folder while it is written says so", async () => {
  const store = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
  rmSync(store.folder, { recursive: true });
  await assert.rejects(fillShard(store, 0), /the folder was removed/);
});

test.run();
