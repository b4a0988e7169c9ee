/** Compute workers under load and in trouble: back-pressure, cancellation, crashes, memory, and a free control thread. */
import { type ComputeError, type ComputeOptions, computeWorkers, startCompute } from "../../engine/compute.ts";
import { startWorker } from "../../stages/workers/start.ts";
import { turnsDuring } from "../fixtures/turns.ts";
import { assert, suite } from "../harness.ts";
import type { Failing, How } from "./failing.ts";
import type { Training } from "./training.ts";

const test = suite("hosting");
const module = new URL("./failing.ts", import.meta.url);
const start = (options: Partial<ComputeOptions> = {}) =>
  startCompute<Failing>({ name: "failing sampler", module, options: {}, ...options });

test("at most `inFlight` calls are with the worker: the buffers of the others stay here until their turn", async () => {
  for (const inFlight of [undefined, 1, 3]) {
    const compute = await start({ inFlight });
    const buffers = Array.from({ length: 8 }, () => new Float32Array(1000));
    const sent = () => buffers.filter((data) => data.length === 0).length;
    const most: number[] = [];
    let answered = 0;
    await Promise.all(
      buffers.map(async (data) => {
        const count = await compute.call("work", { ms: 2, data }, { transfer: [data.buffer] });
        assert.is(count, ++answered, "in order");
        most.push(sent() - answered);
      }),
    );
    assert.is(sent(), 8);
    assert.equal(Math.max(...most), inFlight ?? 2);
    await compute.close();
  }
});

test("one call can be given up: before it is sent, and while it waits with the worker; the others go on", async () => {
  const compute = await start();
  const stop = new AbortController();
  const reason = new Error("no longer wanted");
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const calls = [{}, { signal: stop.signal }, { signal: stop.signal }, {}].map((options) => compute.call("work", { gate }, options));
  const outcomes = Promise.allSettled(calls);
  stop.abort(reason);
  Atomics.store(gate, 0, 1);
  Atomics.notify(gate, 0);
  const [first, second, third, fourth] = await outcomes;
  assert.equal(first, { status: "fulfilled", value: 1 });
  assert.equal([second, third], Array(2).fill({ status: "rejected", reason }));
  assert.equal(fourth, { status: "fulfilled", value: 2 }, "neither was begun");
  await assert.rejects(compute.call("work", { ms: 1 }, { signal: stop.signal }), "no longer wanted");
  await compute.close();
});

test("results are moved, also where one holds the same array twice", async () => {
  const compute = await start();
  for (let i = 0; i < 2; i++) {
    const { twice } = await compute.call("result", 1e6);
    assert.is(twice[0]?.length, 1e6);
    assert.is(twice[0]?.buffer, twice[1]?.buffer);
  }
  await compute.close();
});

const failures: [how: How, during: RegExp, starting: RegExp, kind?: ComputeError["kind"]][] = [
  ["throw", /^an error of the method$/, /^an error of the method$/],
  ["uncloneable", /^an odd error$/, /^an odd error$/],
  ["exit", /^Compute worker "failing sampler" ended with code 7 during "fail"$/, /ended with code 7 on starting$/, "ended"],
  [
    "uncaught",
    /^Compute worker "failing sampler" crashed during "fail": nobody catches this$/,
    /^Cannot start compute worker "failing sampler" from .*failing.ts: nobody/,
    "ended",
  ],
  [
    "heap",
    /^Compute worker "failing sampler" ran out of memory during "fail"$/,
    /^Compute worker "failing sampler" ran out of memory on starting$/,
    "memory",
  ],
  [
    "runtime",
    /^Compute worker "failing sampler" ran out of memory during "fail", asking for 4398046511104 bytes$/,
    /on starting, asking for 4398046511104 bytes$/,
    "memory",
  ],
];
for (const [how, during, starting, kind] of failures) {
  test(`a worker that fails by "${how}" is named, in a call and on starting, and nothing is left of it`, async () => {
    const compute = await start({ heapMegabytes: 64 });
    const waiting = [compute.call("fail", how), compute.call("work", { ms: 1 }), compute.call("work", { ms: 1 })];
    const outcomes = await Promise.allSettled(waiting);
    const error = (outcomes[0] as PromiseRejectedResult).reason as ComputeError;
    assert.match(error.message, during);
    assert.is(error.kind, kind);
    const goesOn = kind === undefined || how === "runtime";
    for (const { status } of outcomes.slice(1)) assert.is(status, goesOn ? "fulfilled" : "rejected");
    if (!goesOn) await assert.rejects(compute.call("work", { ms: 1 }), during); // and at once
    await compute.close();
    assert.match((await assert.rejects(start({ options: { start: how }, heapMegabytes: 64 }))).message, starting);
    assert.is(computeWorkers(), 0);
  });
}

test("a module that cannot be loaded is named", async () => {
  const absent = new URL("./absent.ts", import.meta.url);
  await assert.rejects(start({ module: absent }), /^Cannot start compute worker "failing sampler" from .*absent.ts: Cannot find/);
  assert.is(computeWorkers(), 0);
});

test("for a pipeline, too little memory is a Failure with a remedy; other errors stay what they are", async () => {
  const worker = await startWorker<Failing>({ name: "teacher sampler", module, options: {}, remedy: "lower simulate.batch" });
  const error = await assert.rejects(
    worker.call("fail", "runtime"),
    /^Compute worker "teacher sampler" ran out of memory .*; lower simulate.batch/,
  );
  assert.is(error.name, "Failure");
  assert.is((await assert.rejects(worker.call("fail", "throw"))).message, "an error of the method");
  await worker.close();
});

test(
  "the control thread stays free while two engines train",
  async () => {
    const training = new URL("./training.ts", import.meta.url);
    const workers = await Promise.all(
      [0, 1].map((seed) => startCompute<Training>({ name: `trainer ${seed}`, module: training, options: { seed } })),
    );
    const steps = 15;
    const took = await turnsDuring(() =>
      Promise.all(
        workers.map(async (worker) => {
          for (let step = 0; step < steps; step++) {
            const { loss } = await worker.call("step", { step });
            assert.ok(Number.isFinite(loss));
          }
          const { weights } = await worker.call("save", undefined as never);
          assert.ok(weights.length > 0);
        }),
      ),
    );
    assert.ok(took.turns > steps, `it had ${took.turns} turns`);
    const { whole = 0, process } = took;
    assert.ok(whole < process / 4, `it took ${whole.toFixed()} of ${process.toFixed()} ms`);
    await Promise.all(workers.map((worker) => worker.close()));
  },
  { seconds: 60 },
);

test.run();
