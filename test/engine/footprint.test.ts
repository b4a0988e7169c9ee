/** How much memory a program would take. */
import { availableMemory, checkFootprint, peakBytes } from "../../engine/footprint.ts";
import type { Node } from "../../engine/graph.ts";
import { assert, suite } from "../harness.ts";

const test = suite("footprint");
const node = (op: string, inputs: string[], output: string): Node => ({ op, inputs, outputs: [output], attributes: {} });
const peak = (nodes: Node[], sizes: Record<string, number>, outputs = ["y"]): number =>
  peakBytes(nodes, { outputs, bytesOf: (name) => sizes[name] ?? 0 });

test("values live from the node that makes them to their last reader", () => {
  const chain = [node("Relu", ["in/x"], "a"), node("Relu", ["a"], "b"), node("Relu", ["b"], "y")];
  assert.is(peak(chain, { "in/x": 1000, a: 5, b: 7, y: 1 }), 12, "inputs do not count");
  const kept = [node("Relu", ["in/x"], "a"), node("Relu", ["a"], "b"), node("Add", ["a", "b"], "c"), node("Relu", ["c"], "y")];
  assert.is(peak(kept, { a: 5, b: 7, c: 11, y: 1 }), 23, "a and b, for c");
  assert.is(peak(kept, { a: 5, b: 7, c: 11, y: 1 }, ["y", "b"]), 23, "b is an output: with c and y 19, with a and c 23");
  const aliased = [node("Relu", ["in/x"], "a"), node("Reshape", ["a", "c0"], "b"), node("Relu", ["b"], "y")];
  assert.is(peak(aliased, { a: 5, b: 5, y: 1 }), 6, "a reshaped value is the same memory");
});

test("of what a node reads the latest comes first: weights that are first in the model are widened just before their use", () => {
  const widened = [node("Cast", ["w1"], "k1"), node("Cast", ["w2"], "k2")];
  const products = [node("MatMul", ["in/x", "k1"], "a"), node("MatMul", ["a", "k2"], "y")];
  const sizes = { k1: 100, k2: 100, a: 1, y: 1 };
  assert.is(peak([...widened, ...products], sizes), 102, "one at a time");
  assert.is(peak([products[0]!, widened[0]!, widened[1]!, products[1]!], sizes), 201, "both at once");
});

test("the check names the program and what it would take", () => {
  checkFootprint("net", { weights: 5.2e9, computed: 1.7e9 }, 6.9e9);
  const message =
    /"net": it would take about 6\.9 GB of memory, 5\.2 GB for frozen weights and 1\.7 GB for what it computes, and 3\.1 GB are available/;
  assert.throws(() => checkFootprint("net", { weights: 5.2e9, computed: 1.7e9 }, 3.1e9), message);
  assert.ok(availableMemory() > 1e7, "this process runs");
});

test.run();
