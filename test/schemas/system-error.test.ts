import { spawn } from "node:child_process";
import { readFileSync, readdirSync, rmSync } from "node:fs";
import { mkdir, open } from "node:fs/promises";
import { connect } from "node:net";
import { Failure } from "../../schemas/failure.ts";
import { systemError, systemReason, writeError } from "../../schemas/system-error.ts";
import { assert, suite } from "../harness.ts";

const test = suite("errors of the system");

/** An error as Node makes it of an errno. */
function raised(code: string, errno: number, syscall: string, rest: object = {}): Error {
  return Object.assign(new Error(`${code}: something, ${syscall}`), { code, errno: -errno, syscall, ...rest });
}

/** Numbers of Linux's asm-generic/errno.h, which is where EDQUOT has a name. */
const numbers: [name: string, errno: number, words: RegExp][] = [
  ["EPERM", 1, /permission is denied/],
  ["ENOENT", 2, /its folder is gone/],
  ["EIO", 5, /input\/output error/],
  ["ENXIO", 6, /device is gone/],
  ["EAGAIN", 11, /no resources left/],
  ["ENOMEM", 12, /memory ran out/],
  ["EACCES", 13, /permission is denied/],
  ["EBUSY", 16, /another program is using it/],
  ["EEXIST", 17, /stands there already/],
  ["EXDEV", 18, /different file systems/],
  ["ENODEV", 19, /device is gone/],
  ["ENOTDIR", 20, /a file stands where a folder is needed/],
  ["EISDIR", 21, /a folder stands there/],
  ["EINVAL", 22, /does not allow/],
  ["ENFILE", 23, /the system may open no more files/],
  ["EMFILE", 24, /ulimit -n/],
  ["ETXTBSY", 26, /a program that is running/],
  ["EFBIG", 27, /larger than this system allows/],
  ["ENOSPC", 28, /the disk is full/],
  ["EROFS", 30, /read-only/],
  ["EMLINK", 31, /too many links/],
  ["ENAMETOOLONG", 36, /too long/],
  ["ENOLCK", 37, /no locks left/],
  ["ENOSYS", 38, /does not support/],
  ["ENOTEMPTY", 39, /not empty/],
  ["ELOOP", 40, /circle/],
  ["EOVERFLOW", 75, /larger than this system can read/],
  ["EOPNOTSUPP", 95, /does not support/],
  ["ENOTCONN", 107, /no longer mounted/],
  ["ESTALE", 116, /lost hold/],
  ["EDQUOT", 122, /quota is used up/],
  ["ENOMEDIUM", 123, /the system answers error 123/],
];

test("every errno is one sentence that names attempt, path, reason and remedy, with or without its name", () => {
  for (const [name, errno, words] of numbers) {
    for (const code of process.platform === "linux" ? [name, `Unknown system error -${errno}`] : [name]) {
      const failure = systemError(raised(code, errno, "write", { path: "out/x.parquet" }));
      const { message = "", exitCode } = failure ?? {};
      assert.match(message, /^Cannot write out\/x\.parquet: [^.]+\. [A-Z].*\.$/, code);
      assert.match(message, words, code);
      assert.is(exitCode, 1);
      assert.not.ok(message.includes("\n"));
    }
  }
});

test("real errors of calls name what was attempted", async () => {
  const said = (work: () => unknown): string => {
    try {
      work();
    } catch (error) {
      return systemError(error)?.message ?? `no sentence for ${error}`;
    }
    return "nothing was thrown";
  };
  const long = "x".repeat(300);
  assert.match(
    said(() => readFileSync("/nowhere/a")),
    /^Cannot open \/nowhere\/a: there is no such file or folder\. Check its name\.$/,
  );
  assert.match(
    said(() => readFileSync("/")),
    /^Cannot read a file: a folder stands there, not a file/,
  );
  assert.match(
    said(() => readFileSync(`/tmp/${long}`)),
    /^Cannot open \/tmp\/x+…?: the name is too long for the file system/,
  );
  assert.match(
    said(() => readdirSync("/etc/hostname")),
    /^Cannot list the folder \/etc\/hostname: a file stands where a folder is needed/,
  );
  assert.match(
    said(() => rmSync("/nowhere/a")),
    /^Cannot (remove|read) \/nowhere\/a: /,
  );
  const denied = await mkdir("/etc/hostname/x").catch((error) => error);
  assert.match(systemError(denied)?.message ?? "", /^Cannot make the folder \/etc\/hostname\/x: a file stands where a folder is needed/);
  const absent = await new Promise((resolve) => spawn("/nowhere/program").on("error", resolve));
  assert.match(systemError(absent)?.message ?? "", /^Cannot start \/nowhere\/program: /);
  const refused = await new Promise((resolve) => connect(1, "127.0.0.1").on("error", resolve));
  assert.match(systemError(refused)?.message ?? "", /^Cannot connect to 127\.0\.0\.1:1: the network does not answer/);
});

test("it is found inside other errors, however deep, and circles end", () => {
  const inner = raised("EIO", 5, "read", { path: "a" });
  const outer = new Error("worker crashed", { cause: new AggregateError([new Error("other"), new Error("deeper", { cause: inner })]) });
  assert.match(systemError(outer)?.message ?? "", /^Cannot read a: the disk reports/);
  const circle = new Error("round");
  circle.cause = circle;
  assert.is(systemError(circle), undefined);
  for (const other of [new TypeError("x is not a function"), "EIO", undefined, { code: "EIO" }]) assert.is(systemError(other), undefined);
});

test("limits of memory and of Node are sentences too", () => {
  const memory = [
    new RangeError("Array buffer allocation failed"),
    Object.assign(new Error("Worker terminated due to reaching memory limit: JS heap out of memory"), { code: "ERR_WORKER_OUT_OF_MEMORY" }),
  ];
  for (const error of memory) assert.match(systemError(error)?.message ?? "", /^Cannot go on: memory ran out\. Lower the batch settings/);
  const tooLarge = Object.assign(new RangeError("File size (3) is greater than 2 GiB"), { code: "ERR_FS_FILE_TOO_LARGE" });
  assert.match(systemError(tooLarge)?.message ?? "", /2 GiB/);
});

test("a writer's error names the path that the user knows, once", async () => {
  const file = await open("/dev/null", "r");
  const error = await file.write("x").catch((met) => met);
  await file.close();
  assert.is((error as { path?: string }).path, undefined, "a handle's error has no path of its own");
  assert.match((writeError("run/metrics.jsonl", error) as Error).message, /^Cannot write run\/metrics\.jsonl: /);
  const failure = new Failure("said already");
  assert.is(writeError("x", failure), failure);
  const bug = new TypeError("a mistake");
  assert.is(writeError("x", bug), bug);
  assert.is(systemReason(raised("EISDIR", 21, "read")), "a folder stands there, not a file");
  assert.is(systemReason(bug), undefined);
});

test("control characters of a path are made visible", () => {
  assert.match(systemError(raised("EIO", 5, "read", { path: "a\u001b[2Jb" }))?.message ?? "", /Cannot read a\\u\{1b\}\[2Jb: /);
});

test.run();
