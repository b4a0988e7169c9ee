/** The plan's formulas give SCALE's table, and its simulation closed forms and SCALE's figures of many workers. */
import { rowBytesOf, rowsPerShardOf, scaleOf } from "../../stages/doctor/scale.ts";
import { type Making, simulateMaking } from "../../stages/doctor/work-simulation.ts";
import { assert, suite } from "../harness.ts";

const test = suite("plans of large stores");

const latent = { values: 64 * 64 * 4, dtype: "float16", isText: true } as const;
const derived = { ...latent, noise: "derived" } as const;
const embedded = { ...derived, embedding: 77 * 768 } as const;
const seconds = 0.35;

/** ../shared/SCALE.md, section 5: row, bytes; GB; shards (rows each); MB, minutes each; hours;
 * hours on 8, 64, 512; $; $ a month; requests. */
const table = [
  { row: derived, rows: 12e6, per: 1024, figures: [32882, 395, 11719, 34, 6.0, 1167, 6.1 * 24, 18, 2.3, 2917, 9], requests: [0.2, 0.4] },
  {
    ...{ row: { ...latent, noise: "stored" } as const, rows: 12e6, per: 512, requests: [0.3, 0.8] },
    figures: [98418, 1181, 23438, 50, 3.0, 1167, 6.1 * 24, 18, 2.3, 2917, 27],
  },
  { row: embedded, rows: 12e6, per: 256, figures: [151154, 1814, 46875, 39, 1.5, 1167, 6.1 * 24, 18, 2.3, 2917, 42], requests: [0.6, 1.5] },
  {
    ...{ row: derived, rows: 1e9, per: 2048, requests: [7, 15] },
    figures: [32882, 32887, 488282, 67, 12, 97222, 506 * 24, 63 * 24, 7.9 * 24, 243000, 756],
  },
  {
    ...{ row: embedded, rows: 1e9, per: 512, requests: [25, 61] },
    figures: [151154, 151174, 1953125, 77, 3.0, 97222, 506 * 24, 63 * 24, 7.9 * 24, 243000, 3477],
  },
];

test("the table of SCALE's section 5, within 2 %", () => {
  for (const { row, rows, per, figures, requests } of table) {
    const rowBytes = rowBytesOf(row);
    // Of a thousand million rows the table has longer shards, so that there are fewer.
    if (rows < 1e9) assert.is(rowsPerShardOf({ rowBytes, secondsPerRow: seconds, batch: 16 }), per);
    const on = (devices: number) =>
      scaleOf({
        ...{ rows, rowBytes, rowsPerShard: per, secondsPerRow: seconds, devices, price: 2.5 },
        ...{ epochs: 20, overIdeal: 1, load: 60, window: 4, heldBytes: rowBytesOf({ ...row, dtype: "float32" }) },
      });
    const { bytes, shards, shardBytes, secondsPerShard, deviceHours, dollars } = on(64);
    const found = [
      ...[rowBytes, bytes / 1e9, shards, shardBytes / 1e6, secondsPerShard / 60, deviceHours],
      ...[8, 64, 512].map((devices) => on(devices).idealHours),
      ...[dollars.devices, dollars.month],
    ];
    for (const [i, figure] of found.entries()) {
      assert.ok(Math.abs(figure / figures[i]! - 1) < 0.02, `figure ${i} of ${rowBytes} bytes a row: ${figure}, not ${figures[i]}`);
    }
    const [least = 0, most = 0] = requests; // the table's are of one to some fifty epochs
    assert.ok(dollars.requests > least && dollars.requests < most, String(dollars.requests));
  }
  const { trainerBytes } = scaleOf({
    ...{ rows: 12e6, rowBytes: rowBytesOf(derived), rowsPerShard: 1024, secondsPerRow: seconds, devices: 64, price: 2.5 },
    ...{ epochs: 1, overIdeal: 1, load: 60, window: 4, heldBytes: rowBytesOf({ ...derived, dtype: "float32" }) },
  });
  assert.ok(Math.abs(trainerBytes / 540e6 - 1) < 0.02);
});

const base = { shards: 11719, secondsPerShard: 1024 * seconds, load: 60 };

/** The mean over seeds. */
async function mean(making: Omit<Making, "seed">, of: "overIdeal" | "lost" | "duplicated"): Promise<number> {
  const all = await Promise.all([1, 2, 3].map((seed) => simulateMaking({ ...making, seed })));
  return all.reduce((sum, made) => sum + made[of], 0) / all.length;
}

test("work of others at random costs what SCALE's section 4 found, within 2 %", async () => {
  const expected: [number, number | undefined, number][] = [
    [8, undefined, 1.004],
    [64, undefined, 1.022],
    [512, undefined, 1.119],
    [512, 4 * 3600, 1.145],
  ];
  for (const [workers, preempt, overIdeal] of expected) {
    const found = await mean({ ...base, workers, preempt, runsOn: true }, "overIdeal");
    assert.ok((await mean({ ...base, workers, preempt }, "overIdeal")) < found); // ours give up what another has had first
    assert.ok(Math.abs(found / overIdeal - 1) < 0.02, `${workers} workers: ${found}, not ${overIdeal}`);
  }
});

test("closed forms: one worker is never better than ideal, small shards come near it, and the loss is T / 2M", async () => {
  const { overIdeal, duplicated } = await simulateMaking({ workers: 1, shards: 100, secondsPerShard: 10, load: 0, seed: 1 });
  assert.ok(Math.abs(overIdeal - 1) < 1e-9 && duplicated === 0);
  const fine = await mean({ workers: 16, shards: 20_000, secondsPerShard: 1, load: 0 }, "overIdeal");
  assert.ok(fine > 1 && fine < 1 + 4 / 1250, String(fine)); // the last shard takes a slow worker 2 of 1,250 seconds
  const [shard, preempt] = [60, 6000];
  const lost = await mean({ workers: 32, shards: 60_000, secondsPerShard: shard, load: 0, preempt }, "lost");
  assert.ok(Math.abs(lost / (shard / (2 * preempt)) - 1) < 0.12, String(lost)); // half of the workers' speeds are below 1
});

test.run();
