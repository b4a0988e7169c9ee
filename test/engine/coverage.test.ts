/** The coverage that engine/README.md prints is the one measured. */
import { record, translated } from "../../engine/backend.ts";
import { LAYER_NORM } from "../../engine/ops.ts";
import { tf } from "../../engine/tfjs.ts";
import { assert, suite } from "../harness.ts";
import { measure, printed, REFUSED, tableOf } from "./coverage.ts";

const test = suite("coverage");
const coverage = measure();

test("the README's table is the measured one; `npx tsx test/engine/coverage.ts` rewrites it", () => {
  assert.equal(printed().split("\n"), tableOf(coverage).split("\n"));
});

test("every kernel with a gradient is covered or refused for a reason", () => {
  const reached = (name: string): boolean => coverage.emitted.some((names) => names.has(name));
  assert.ok(coverage.differentiable.length > 100);
  assert.equal(coverage.differentiable.filter((name) => !reached(name)).sort(), Object.keys(REFUSED).sort());
});

test("every kernel that is translated is tried by a specimen", () => {
  const tried = coverage.emitted.flatMap((names) => [...names]);
  assert.equal(
    [...translated].filter((name) => !tried.includes(name) && name !== LAYER_NORM),
    [],
  );
});

test("every kernel that is not covered is refused by name", () => {
  const missing = coverage.kernels.filter((name) => !translated.has(name));
  assert.ok(missing.length > 30);
  for (const kernel of missing) {
    const message = new RegExp(`"tried": .* at test/engine/coverage\\.test\\.ts:\\d+ .*\\(kernel "${kernel}"\\); .+\\.$`);
    assert.throws(() => record("tried", () => tf.engine().runKernel(kernel, {}, {})), message);
  }
});

test.run();
