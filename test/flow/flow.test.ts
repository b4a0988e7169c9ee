import { filter, from, map, scan, startWith, take, tap } from "rxjs";
import { batch, drain, iterate, pull, stage, through } from "../../stages/flow/mod.ts";
import { assert, suite } from "../harness.ts";

const test = suite("flow");
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** A source of 0, 1, 2... that counts what it made and notes when its `finally` ran. */
function counter({ length, failAt = -1, wait = 0 }: { length: number; failAt?: number; wait?: number }) {
  const seen = { made: 0, opened: 0, closed: 0 };
  const source = pull(async function* () {
    seen.opened++;
    try {
      for (let i = 0; i < length; i++) {
        if (wait) await sleep(wait);
        if (i === failAt) throw new Error(`source broke at ${i}`);
        seen.made++;
        yield i;
      }
    } finally {
      await sleep(3);
      seen.closed++;
    }
  });
  return { source, seen };
}

const later = async (item: number): Promise<number> => {
  await sleep(1 + (item % 3));
  return item;
};

test("a slow consumer holds the source back by the declared capacities", async () => {
  const { source, seen } = counter({ length: 300 });
  let consumed = 0;
  let lead = 0;
  const flow = source.pipe(
    stage({ name: "read", capacity: 4, work: (i: number) => i }),
    through(map((i) => i * 2)),
    stage({ name: "decode", capacity: 5, concurrency: 2, ordered: false, work: async (i) => i }),
    through(filter((i) => i % 3 !== 1)),
    batch(6),
    stage({ name: "write", capacity: 1, work: async (items) => items }),
  );
  await drain(flow, {
    sink: async () => {
      await sleep(3);
      consumed++;
      lead = Math.max(lead, seen.made - 1.5 * consumed);
    },
  });
  // Two of three items pass the filter. Held: 4 and 5 above it, and below it 6 batched, 6 in `write`, 1 in the drain.
  assert.ok(lead <= 9 + 1.5 * 13, `the source led by ${lead}`);
  assert.is(seen.made, 300);
  assert.is(consumed, 200);
  assert.is(seen.closed, 1);
});

for (const concurrency of [1, 3]) {
  test(`made minus consumed stays within the capacities, ${concurrency} at once`, async () => {
    const { source, seen } = counter({ length: 120 });
    const capacities = [4, 3, 2, 1];
    let consumed = 0;
    let lead = 0;
    const note = (item: number) => {
      lead = Math.max(lead, seen.made - consumed);
      return item;
    };
    await drain(
      source.pipe(
        through(tap(note)),
        stage({ name: "a", capacity: 4, concurrency, work: async (i: number) => note(i) }),
        through(map((i: number) => i + 1)),
        stage({ name: "b", capacity: 3, concurrency, ordered: false, work: later }),
        stage({ name: "c", capacity: 2, work: (i: number) => note(i) }),
      ),
      {
        sink: async (item) => {
          await sleep(5);
          note(item);
          consumed++;
        },
      },
    );
    assert.is(consumed, 120);
    assert.ok(lead <= capacities.reduce((sum, c) => sum + c), `the source led by ${lead}`);
    assert.ok(lead >= 8, `the stages ran ahead by only ${lead}`);
  });
}

test("bytes bound a stage as well as counts", async () => {
  const size = 2 ** 20;
  let alive = 0;
  let peak = 0;
  const source = pull(function* () {
    for (let i = 0; i < 200; i++) {
      peak = Math.max(peak, ++alive);
      yield new Uint8Array(size);
    }
  });
  await drain(
    source.pipe(stage({ name: "hold", capacity: 8 * size, concurrency: 2, weigh: (b: Uint8Array) => b.length, work: (b) => b })),
    {
      sink: async (bytes) => {
        assert.is(bytes.length, size);
        await sleep(1);
        alive--;
      },
    },
  );
  assert.is(peak, 9); // 8 MiB in the stage, one buffer in the drain
  assert.is(alive, 0);
});

test("order is kept unless given up", async () => {
  const items = (ordered: boolean) => {
    const out: number[] = [];
    let after = (): void => {};
    const others = new Promise<void>((resolve) => {
      after = resolve;
    });
    const work = async (i: number) => {
      if (i === 0) await others;
      else await sleep(1);
      if (i === 3) after(); // the first is done after others that came later
      return i;
    };
    const flow = counter({ length: 20 }).source.pipe(stage({ name: "shake", capacity: 6, ordered, work }));
    return drain(flow, { sink: (i) => void out.push(i) }).then(() => out);
  };
  const natural = Array.from({ length: 20 }, (_, i) => i);
  assert.equal(await items(true), natural);
  const shaken = await items(false);
  assert.is.not(shaken[0], 0);
  assert.equal(
    shaken.sort((a, b) => a - b),
    natural,
  );
});

test("work may give none or many", async () => {
  const out: string[] = [];
  const work = (i: number) => Array.from({ length: i % 4 }, (_, k) => `${i}.${k}`);
  await drain(counter({ length: 6 }).source.pipe(stage({ name: "spread", capacity: 2, work })), {
    sink: (s) => void out.push(s),
  });
  assert.equal(out, ["1.0", "2.0", "2.1", "3.0", "3.1", "3.2", "5.0"]);
});

test("plain operators work through through()", async () => {
  const out: number[] = [];
  const flow = counter({ length: 50 }).source.pipe(
    through(filter((i) => i % 2 === 1)),
    stage({ name: "one", capacity: 1, work: (i: number) => i }),
    through(scan((sum, i) => sum + i, 0)),
  );
  await drain(flow, { sink: (i) => void out.push(i) });
  assert.is(out.length, 25);
  assert.is(out[24], 625);
});

test("batches hold size items, the last one fewer", async () => {
  const out: number[][] = [];
  await drain(counter({ length: 7 }).source.pipe(batch(3)), { sink: (items) => void out.push(items) });
  assert.equal(out, [[0, 1, 2], [3, 4, 5], [6]]);
  const none: number[][] = [];
  await drain(counter({ length: 0 }).source.pipe(batch<number>(3)), { sink: (items) => void none.push(items) });
  assert.equal(none, []);
});

test("take(3) closes the source and drain waits for it", async () => {
  const { source, seen } = counter({ length: 1000 });
  const out: number[] = [];
  await drain(source.pipe(stage({ name: "ahead", capacity: 4, work: later }), through(take(3))), {
    sink: (i) => void out.push(i),
  });
  assert.equal(out, [0, 1, 2]);
  assert.is(seen.closed, 1);
  assert.ok(seen.made <= 9, `${seen.made} items were made`);
});

test("an error in a sink, a stage or a source stops everything and is the one reported", async () => {
  const cases = [
    { at: "source", failAt: 9, message: /source broke at 9/ },
    { at: "stage", failAt: -1, message: /stage broke at 7/ },
    { at: "sink", failAt: -1, message: /sink broke at 5/ },
  ];
  for (const { at, failAt, message } of cases) {
    const { source, seen } = counter({ length: 1000, failAt });
    let inFlight = 0;
    const work = async (i: number) => {
      inFlight++;
      try {
        await sleep(2);
        if (at === "stage" && i >= 7) throw new Error(`stage broke at ${i}`);
        return i;
      } finally {
        await sleep(4);
        inFlight--;
      }
    };
    const failure = await drain(source.pipe(stage({ name: "work", capacity: 3, work })), {
      sink: (i) => {
        if (at === "sink" && i === 5) throw new Error(`sink broke at ${i}`);
      },
    }).then(
      () => undefined,
      (error: Error) => error,
    );
    assert.match(failure?.message ?? "", message);
    assert.is(seen.closed, 1, at);
    assert.is(inFlight, 0, `work in flight after ${at} broke`);
    assert.ok(seen.made < 20, `${seen.made} made after ${at} broke`);
  }
});

test("an abort rejects with its reason after every clean-up", async () => {
  const controller = new AbortController();
  const { source, seen } = counter({ length: 1e6 });
  const reason = new Error("enough");
  let [stuck, told] = [0, 0];
  const work = async (i: number, signal: AbortSignal) => {
    if (i < 3) return i;
    if (++stuck === 4) setTimeout(() => controller.abort(reason), 20);
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    told++;
    throw signal.reason;
  };
  const failure = await drain(source.pipe(stage({ name: "stuck", capacity: 4, work })), {
    signal: controller.signal,
  }).then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.is(failure, reason);
  assert.is(seen.closed, 1);
  assert.is(told, 4);
  const again = await drain(source, { signal: controller.signal }).then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.is(again, reason);
  assert.is(seen.opened, 1); // an aborted signal starts nothing
});

test("after an error no waiting item is started", async () => {
  let started = 0;
  let broken = (): void => {};
  const others = new Promise<void>((resolve) => {
    broken = resolve;
  });
  const work = async (i: number) => {
    started++;
    if (i !== 1) await others;
    else {
      await sleep(2);
      setTimeout(broken, 4);
      throw new Error("broke");
    }
    return i;
  };
  const flow = counter({ length: 100 }).source.pipe(stage({ name: "wait", capacity: 20, concurrency: 3, work }));
  assert.is(
    await drain(flow).then(
      () => "",
      (error: Error) => error.message,
    ),
    "broke",
  );
  assert.is(started, 3);
});

test("a source that heeds its signal stops in the middle of a wait", async () => {
  const controller = new AbortController();
  let closed = false;
  const source = pull(async function* (signal) {
    try {
      yield 1;
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
    } finally {
      closed = true;
    }
  });
  setTimeout(() => controller.abort(), 10);
  const failure = await drain(source, { signal: controller.signal }).then(
    () => undefined,
    (error: Error) => error,
  );
  assert.is(failure?.name, "AbortError");
  assert.ok(closed);
});

test("unsubscribing closes the source", async () => {
  const { source, seen } = counter({ length: 1e6, wait: 1 });
  const subscription = source.pipe(stage({ name: "idle", capacity: 2, work: (i: number) => i })).subscribe();
  while (seen.made === 0) await sleep(1);
  subscription.unsubscribe();
  const made = seen.made;
  while (seen.closed === 0) await sleep(1);
  await sleep(15);
  assert.is(seen.closed, 1);
  assert.ok(seen.made <= made + 1);
});

test("a source whose clean-up fails is not passed over", async () => {
  const source = pull(async function* () {
    try {
      for (let i = 0; ; i++) yield i;
    } finally {
      await Promise.reject(new Error("could not close the file"));
    }
  });
  const failure = await drain(source.pipe(through(take(2)))).then(
    () => undefined,
    (error: Error) => error,
  );
  assert.is(failure?.message, "could not close the file");
});

test("iterate reads one item at a time and closes on break", async () => {
  const { source, seen } = counter({ length: 100 });
  const out: number[] = [];
  for await (const i of iterate(source)) {
    assert.ok(seen.made - out.length <= 1);
    out.push(i);
    await sleep(1);
    if (i === 5) break;
  }
  assert.equal(out, [0, 1, 2, 3, 4, 5]);
  assert.is(seen.closed, 1);
  const broken = async () => {
    for await (const i of iterate(counter({ length: 9, failAt: 4 }).source)) assert.ok(i < 4);
  };
  assert.match(
    await broken().then(
      () => "",
      (error: Error) => error.message,
    ),
    /source broke at 4/,
  );
  const controller = new AbortController();
  const endless = counter({ length: 1e6 });
  const aborted = async () => {
    for await (const i of iterate(endless.source, { signal: controller.signal })) if (i === 3) controller.abort();
  };
  assert.is(
    await aborted().then(
      () => "",
      (error: Error) => error.name,
    ),
    "AbortError",
  );
  assert.is(endless.seen.closed, 1);
});

test("misuse says what to do", async () => {
  const fails = (run: () => Promise<unknown>) =>
    run().then(
      () => "",
      (error: Error) => error.message,
    );
  assert.match(await fails(() => drain(from([1, 2]))), /plain Observable.*pull/);
  assert.match(await fails(() => drain(counter({ length: 3 }).source.pipe(through(startWith(9))))), /at most one item/);
  for (const capacity of [0, -1, Number.NaN]) {
    assert.match(await fails(() => drain(counter({ length: 3 }).source, { capacity })), /"capacity" must be above zero/);
  }
});

test("no rejection escapes", async () => {
  const escaped: unknown[] = [];
  const note = (reason: unknown) => void escaped.push(reason);
  process.on("unhandledRejection", note);
  const work = async (i: number) => {
    await sleep(1);
    throw new Error(`broke at ${i}`);
  };
  const { source } = counter({ length: 50 });
  const failure = await drain(source.pipe(stage({ name: "all", capacity: 8, work }))).then(
    () => "",
    (e: Error) => e.message,
  );
  await sleep(10);
  process.off("unhandledRejection", note);
  assert.is(failure, "broke at 0");
  assert.equal(escaped, []);
});

test("a long stream costs little", async () => {
  let sum = 0;
  const source = pull(function* () {
    for (let i = 0; i < 50_000; i++) yield i;
  });
  await drain(source.pipe(stage({ name: "a", capacity: 16, work: (i: number) => i }), through(map((i) => i + 1))), {
    capacity: 16,
    sink: (i) => {
      sum += i;
    },
  });
  assert.is(sum, (50_000 * 50_001) / 2);
});

test.run();
