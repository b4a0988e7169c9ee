import { isSpent, NOTHING_YET, selected } from "../../stages/runs/selection.ts";
import { assert, suite } from "../harness.ts";

const test = suite("selection");

const after = (distances: number[]) =>
  distances.reduce((before, distance, i) => selected(before, { step: 100 * (i + 1), distance }), NOTHING_YET);

test("keeps the earliest of the least distances", () => {
  assert.equal(after([]), { since: 0 });
  assert.equal(after([9]), { best: { step: 100, distance: 9 }, since: 0 });
  assert.equal(after([9, 5, 7, 5, 6]), { best: { step: 200, distance: 5 }, since: 3 });
});

test("patience ends after so many distances in a row that are no less", () => {
  const spent = (distances: number[], patience: number) => isSpent(after(distances), patience);
  assert.not.ok(spent([9, 5, 7], 2));
  assert.ok(spent([9, 5, 7, 5], 2));
  assert.not.ok(spent([9, 5, 7, 4], 2));
  assert.not.ok(spent([9, 9, 9, 9, 9, 9], 0), "0 waits for ever");
});

test.run();
