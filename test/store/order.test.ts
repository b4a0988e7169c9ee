import { blocksOf, type OrderSettings, rowOrder } from "../../store/rows/order.ts";
import { assert, suite } from "../harness.ts";

const test = suite("order");
const settings: OrderSettings & { shards: number; rowsPerShard: number } = {
  seed: 3,
  batch: 6,
  window: 4,
  firstShards: 2,
  stepsPerShard: 5,
  shards: 14,
  rowsPerShard: 8,
};

function blocksUntil(positions: number, changes: Partial<typeof settings> = {}) {
  const blockAt = blocksOf({ ...settings, ...changes });
  const blocks = [];
  for (let position = 0; position < positions; ) {
    const block = blockAt(position);
    blocks.push(block);
    position = block.start + block.length;
  }
  return blocks;
}

test("test vectors: the order of training never changes unnoticed", () => {
  const at = blocksOf({ seed: 1, batch: 5, window: 3, firstShards: 2, stepsPerShard: 2, shards: 7, rowsPerShard: 8 });
  const blocks = [];
  for (let position = 0; position < 150; position = blocks.at(-1)![1] + blocks.at(-1)![2]) {
    const { index, start, length, shards } = at(position);
    blocks.push([index, start, length, shards.join(" ")] as const);
  }
  assert.equal(blocks, [
    ...[
      [0, 0, 16, "0 1"],
      [1, 16, 24, "2 1 0"],
      [2, 40, 24, "2 1 0"],
    ], // growing
    ...[
      [3, 64, 24, "5 6 3"],
      [4, 88, 24, "1 0 2"],
      [5, 112, 8, "4"],
    ], // the first epoch
    ...[
      [6, 120, 24, "0 3 6"],
      [7, 144, 24, "4 1 2"],
    ],
  ]);
  assert.is([...rowOrder(1, at(0), 15)].join(" "), "9 5 6 10 2 8 0 14 3 7 13 12 4 11 1 13");
});

test("blocks follow each other without gap and draw distinct shards", () => {
  let end = 0;
  for (const [i, { index, start, length, shards }] of blocksUntil(3000).entries()) {
    assert.is(index, i);
    assert.is(start, end);
    assert.is(length, shards.length * settings.rowsPerShard);
    assert.is(new Set(shards).size, shards.length);
    end = start + length;
  }
});

test("a block draws only from the shards its first step may see", () => {
  for (const { start, shards } of blocksUntil(3000)) {
    const visible = settings.firstShards + Math.floor(Math.floor(start / settings.batch) / settings.stepsPerShard);
    assert.ok(
      shards.every((shard) => shard < Math.min(visible, settings.shards)),
      `${shards} of ${visible}`,
    );
    assert.ok(shards.length <= settings.window);
  }
  assert.is(blocksUntil(1)[0]!.shards.length, 2); // fewer are visible than the window holds
});

test("with the store complete, an epoch uses every shard once, in another order each time", () => {
  const blocks = blocksUntil(3 * 14 * 8, { firstShards: Infinity });
  assert.is(blocks.length, 12); // three epochs of windows of 4, 4, 4 and 2
  const orders = [0, 4, 8].map((first) => blocks.slice(first, first + 4).flatMap(({ shards }) => shards));
  for (const order of orders)
    assert.equal(
      [...order].sort((a, b) => a - b),
      Array.from({ length: 14 }, (_, i) => i),
    );
  assert.is(new Set(orders.map(String)).size, 3);
});

test("each position is a pure function of the settings", () => {
  const forward = blocksOf(settings);
  const expected = Array.from({ length: 2000 }, (_, position) => forward(position));
  for (const position of [1999, 0, 777, 31, 1200]) {
    assert.equal(blocksOf(settings)(position), expected[position]); // a fresh start
    assert.equal(forward(position), expected[position]); // going back
  }
});

test("every row of a window appears exactly once a block, and failures are made up for evenly", () => {
  const block = blocksOf(settings)(1000);
  assert.equal(
    [...rowOrder(3, block, block.length)].sort((a, b) => a - b),
    Array.from({ length: 32 }, (_, i) => i),
  );
  const counts = new Array<number>(13).fill(0);
  for (const row of rowOrder(3, block, 13)) counts[row]! += 1;
  assert.equal([...new Set(counts)].sort(), [2, 3]); // 32 positions over 13 rows
});

test("rows meet rows of other shards", () => {
  const block = blocksOf(settings)(1000);
  const order = [...rowOrder(3, block, 32)].map((row) => Math.floor(row / 8));
  const changes = order.filter((shard, i) => i > 0 && shard !== order[i - 1]).length;
  assert.ok(changes > 15, `${changes} of 31 neighbours differ`); // 24 expected
});

test("every shard is drawn equally often while the store grows", () => {
  const counts = new Array<number>(20).fill(0);
  const blocks = blocksUntil(200_000, { shards: 21, firstShards: 20, stepsPerShard: 1e9 });
  for (const { shards } of blocks) for (const shard of shards) counts[shard]! += 1;
  const expected = (blocks.length * 4) / 20;
  for (const count of counts) assert.close(count, expected, 5 * Math.sqrt(expected));
});

test("one shard, one row, fractional pace", () => {
  assert.equal(blocksOf({ ...settings, shards: 1 })(100).shards, [0]);
  const blocks = blocksUntil(500, { stepsPerShard: 0.5, rowsPerShard: 1, window: 2 });
  assert.is(blocks[0]!.length, 2);
  assert.ok(blocks.at(-1)!.start >= 498);
});

test.run();
