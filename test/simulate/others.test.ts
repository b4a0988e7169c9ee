/** Tasks of `--part auto/N`: each makes its own part, then what is missing, whoever dies, and the store is that of one process. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { simulate } from "../../pipelines/simulate.ts";
import type { PipelineEvent } from "../../schemas/events.ts";
import { ownThenOthers } from "../../store/making/others.ts";
import { shareOf } from "../../store/making/share.ts";
import { shardPath } from "../../store/shards/store.ts";
import { openTripleStore } from "../../store/rows/triples.ts";
import type { Work } from "../../store/making/work.ts";
import { assert, suite } from "../harness.ts";
import { contentsOf, contextOf, freshFolder, settingsOf, writeRun } from "./fixture.ts";

const test = suite("missing shards of others");

let teacher: string;
let whole: string;
let files: Record<string, string>;
const settings = settingsOf({ rowsPerShard: 2, batch: 2, steps: 1 }); // 13 shards

test.before(async () => {
  teacher = await writeRun();
  whole = freshFolder();
  await make(whole, {});
  files = contentsOf(whole);
});

async function make(out: string, work: Work, onEvent: (event: PipelineEvent) => void = () => {}): Promise<void> {
  await simulate({ teacher, out, work, settings, context: contextOf(onEvent) });
}

/** The order of a task's shards, where nobody else makes any. */
async function orderOf(part: string): Promise<number[]> {
  const out = freshFolder();
  await make(out, {});
  const store = await openTripleStore({ folder: out });
  rmSync(join(out, "shards"), { recursive: true });
  const isMine = shareOf({ part }, store.shards);
  const own = Array.from({ length: store.shards }, (_, shard) => shard).filter(isMine);
  const order: number[] = [];
  for await (const shard of ownThenOthers(store, { own, part, isMine, onThere: () => {} })) order.push(shard);
  return order;
}

test("one task of many ends with the whole store, sealed, and its progress with all rows", async () => {
  const out = freshFolder();
  let last: PipelineEvent | undefined;
  await make(out, { part: "2/4", others: true }, (event) => {
    if (event.type === "progress") last = event;
  });
  assert.equal(contentsOf(out), files);
  assert.ok(last?.type === "progress" && last.done === 26 && last.total === 26);
});

test("the order is own shards first, then all others in an order that is a function of the part", async () => {
  const [first, again, other] = [await orderOf("1/4"), await orderOf("1/4"), await orderOf("2/4")];
  assert.equal(first, again);
  assert.equal(first.slice(0, 4), [0, 4, 8, 12]);
  assert.equal(other.slice(0, 3), [1, 5, 9]);
  const all = Array.from({ length: 13 }, (_, shard) => shard);
  for (const order of [first, other])
    assert.equal(
      [...order].sort((a, b) => a - b),
      all,
    );
  assert.not.equal(
    first.slice(4).filter((shard) => shard % 4 > 1),
    other.slice(3).filter((shard) => shard % 4 > 1),
  );
});

test("a shard that has come meanwhile is not given, and one under way is dropped when it comes", async () => {
  const out = freshFolder();
  const store = await openTripleStore({ folder: whole });
  const there = store.shards - 1;
  const given: number[] = [];
  const isMine = (shard: number) => shard < 3;
  let rows = 0;
  await make(out, { shards: "4-12" });
  const grown = await openTripleStore({ folder: out });
  for await (const shard of ownThenOthers(grown, { own: [0, 1, 2], part: "1/4", isMine, onThere: (n) => void (rows += n) })) {
    given.push(shard);
    if (shard === 0) await make(out, { shards: "1" });
  }
  assert.equal(given, [0, 2, 3]);
  assert.is(rows, 2 + 18); // shard 1, then 4 to 12 when the others are looked at
  assert.ok(existsSync(shardPath(grown, there)));
});

test(
  "tasks side by side, one of them stopped, make the same store",
  async () => {
    const out = freshFolder();
    const controller = new AbortController();
    const stopped = simulate({
      teacher,
      out,
      settings,
      work: { part: "1/3", others: true },
      context: {
        signal: controller.signal,
        report: (event) => {
          if (event.type === "progress" && event.done >= 4) controller.abort();
        },
      },
    });
    await assert.rejects(stopped);
    await Promise.all([make(out, { part: "2/3", others: true }), make(out, { part: "3/3", others: true })]);
    assert.equal(contentsOf(out), files);
    await make(out, { part: "1/3", others: true }); // tried again: nothing is missing
    assert.equal(contentsOf(out), files);
  },
  { seconds: 60 },
);

test.run();
