/** Compute workers: calls, errors, ends, and the thread that waits for them. */
import { startCompute, transferables } from "../../engine/compute.ts";
import { turnsDuring } from "../fixtures/turns.ts";
import { assert, suite } from "../harness.ts";
import type { Calculator } from "./calculator.ts";

const test = suite("compute");
const module = new URL("./calculator.ts", import.meta.url);
const start = (options: object = {}, signal?: AbortSignal) =>
  startCompute<Calculator>({ name: "calculator", module, options, ...(signal && { signal }) });

test("calls are answered in order, buffers are copied or moved, errors keep what they carry", async () => {
  const compute = await start();
  const values = Float32Array.of(1, 2);
  assert.equal(await compute.call("double", values), Float32Array.of(2, 4));
  assert.is(values.length, 2, "copied");
  await compute.call("double", values, { transfer: [values.buffer as ArrayBuffer] });
  assert.is(values.length, 0, "moved");
  assert.equal(await Promise.all([0, 1, 2, 3].map(() => compute.call("count", undefined))), [0, 1, 2, 3]);
  const error = await assert.rejects(compute.call("fail", 3), "asked to fail");
  assert.is((error as Error & { exitCode: number }).exitCode, 3);
  assert.is(error.name, "Failure");
  const deep = await assert.rejects(compute.call("read", undefined), "cannot load");
  const { code, errno, syscall, path } = (deep.cause as AggregateError).errors[1];
  assert.equal({ code, errno, syscall, path }, { code: "ENOENT", errno: -2, syscall: "open", path: "/nowhere/at/all" });
  assert.is(await compute.call("count", undefined), 4, "it goes on after an error");
  await compute.close();
  await assert.rejects(compute.call("count", undefined), /calculator.*closed/);
});

test("transferables are the buffers that a value's arrays fill, each once, at any depth", async () => {
  const whole = new Float32Array(4);
  const pixels = new Uint8Array(3);
  const part = new Float32Array(8).subarray(2, 4);
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const value: Record<string, unknown> = {
    a: whole,
    again: [whole, { pixels }],
    part,
    shared,
    empty: new Float32Array(0),
    none: null,
    n: 3,
  };
  value.itself = value;
  assert.equal(transferables(value), [whole.buffer, pixels.buffer]);
  assert.equal(transferables(part.buffer), [], "a buffer that no array stands for is not taken");
  assert.equal(transferables(undefined), []);

  const compute = await start();
  assert.equal(await compute.call("double", whole, { transfer: transferables(whole) }), new Float32Array(4));
  assert.is(whole.length, 0, "moved");
  assert.equal(await compute.call("double", part, { transfer: transferables(part) }), new Float32Array(2));
  assert.is(part.length, 2, "a part is copied");
  await compute.close();
});

test("a closed worker's thread serves the next of its module, which begins anew; of two at once one has a thread of its own", async () => {
  const first = await start();
  const thread = await first.call("thread", undefined);
  const failing = first.call("fail", 3).catch(() => {});
  await first.call("count", undefined);
  await failing;
  await first.close();
  const [second, third] = await Promise.all([start(), start()]);
  assert.is(await second.call("thread", undefined), thread);
  assert.is.not(await third.call("thread", undefined), thread);
  assert.is(await second.call("count", undefined), 0, "by its own create");
  assert.is(await second.call("work", 1), await third.call("work", 1));
  await Promise.all([second.close(), third.close()]);
  await assert.rejects(start({ broken: true }), "cannot start: broken was asked for");
  const last = await start();
  assert.is(await last.call("count", undefined), 0, "after one that could not start");
  await last.close();
  await assert.rejects(second.call("count", undefined), /closed/);
});

test("a module that does not start rejects with its own error", async () => {
  await assert.rejects(start({ broken: true }), "cannot start: broken was asked for");
});

test("closing a busy worker rejects what waits and ends after the call under way", async () => {
  const compute = await start();
  const busy = compute.call("work", 3);
  const queued = compute.call("work", 1e6); // never begun
  const outcomes = Promise.allSettled([busy, queued]);
  await compute.close();
  for (const outcome of await outcomes) assert.match(String((outcome as PromiseRejectedResult).reason), /closed/);
});

test("aborting rejects with the signal's reason, before and during a call", async () => {
  const reason = new Error("stopped by hand");
  await assert.rejects(start({}, AbortSignal.abort(reason)), "stopped by hand");
  const controller = new AbortController();
  const compute = await start({}, controller.signal);
  const call = compute.call("work", 3);
  controller.abort(reason);
  assert.is(await assert.rejects(call), reason);
  await compute.close();
});

test("the calling thread stays free while a worker computes", async () => {
  const compute = await start();
  await compute.call("work", 1);
  const { turns, whole = 0, process } = await turnsDuring(() => compute.call("work", 20));
  assert.ok(turns > 5, `it had ${turns} turns`);
  assert.ok(whole < process / 3, `it took ${whole.toFixed()} of ${process.toFixed()} ms`);
  await compute.close();
});

test.run();
