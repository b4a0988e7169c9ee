/** Copies of runs in the cache: what was used longest ago goes once there is too much, never what a living process uses. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { workingFolder } from "../../stages/runs/mirror.ts";
import { keepLimit, useCopy } from "../../store/places/cache-limit.ts";
import { scriptWords } from "../fixtures/script.ts";
import { assert, suite } from "../harness.ts";

const test = suite("the cache's limit");
const root = mkdtempSync(join(tmpdir(), "onestep-limit-"));
process.on("exit", () => rmSync(root, { recursive: true, force: true }));
let caches = 0;

/** A new cache of a limit in kilobytes. */
function newCache(kilobytes: number): void {
  process.env.ONESTEP_CACHE = join(root, `cache-${caches++}`);
  process.env.ONESTEP_CACHE_GB = String(kilobytes / 1e6);
}

/** Something of a kilobyte that was used so long ago, in hours; its path. */
function kept(kind: "runs" | "fetched" | "shards", name: string, hours: number): string {
  const path = kind === "shards" ? join(process.env.ONESTEP_CACHE!, kind, `${name}.parquet`) : workingFolder(`s3://bucket/${name}`, kind);
  const file = kind === "shards" ? path : join(path, "pictures", "1.png");
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, Buffer.alloc(1000));
  const then = Date.now() / 1000 - 3600 * hours;
  utimesSync(file, then, then);
  return path;
}

const left = (paths: readonly string[]): boolean[] => paths.map((path) => existsSync(path));

test("shards and copies share one limit, and what was used longest ago goes first", async () => {
  newCache(2.5);
  const paths = [kept("fetched", "a", 3), kept("runs", "b", 5), kept("shards", "c", 1), kept("fetched", "d", 4), kept("shards", "e", 2)];
  await keepLimit();
  assert.equal(left(paths), [false, false, true, false, true]);
  assert.equal(readdirSync(join(process.env.ONESTEP_CACHE!, "fetched")), []); // nor is anything of them left
});

test("what a living process uses stays, though it be over the limit, and what a dead one has used goes", async () => {
  newCache(0);
  const [read, written, abandoned] = [kept("fetched", "a", 9), kept("runs", "b", 9), kept("fetched", "c", 9)];
  const releases = [
    await useCopy({ folder: dirname(read), command: "sample", shared: true }),
    await useCopy({ folder: dirname(read), command: "evaluate", shared: true }),
    await useCopy({ folder: dirname(written), command: "train" }),
  ];
  const script = fileURLToPath(new URL("../store/holder.ts", import.meta.url));
  const child = spawn(process.execPath, [...scriptWords(script), dirname(abandoned), "sample", "shared"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  await keepLimit();
  assert.equal(left([read, written, abandoned]), [true, true, true]);
  child.kill("SIGKILL");
  await once(child, "exit");
  await keepLimit();
  assert.equal(left([read, written, abandoned]), [true, true, false]);
  for (const [i, expected] of [
    [true, true],
    [false, true],
    [false, false],
  ].entries()) {
    await releases[i]!();
    await keepLimit();
    assert.equal(left([read, written]), expected);
  }
});

test("a copy that is wanted while room is made is made anew, and a limit of nothing keeps nothing", async () => {
  newCache(0);
  for (let round = 0; round < 20; round++) {
    const path = kept("runs", "a", 1);
    const [release] = await Promise.all([useCopy({ folder: dirname(path), command: "train" }), keepLimit(), keepLimit()]);
    assert.ok(existsSync(dirname(path)));
    await release();
  }
  await keepLimit();
  assert.equal(readdirSync(join(process.env.ONESTEP_CACHE!, "runs")), []);
});

test.run();
