import { summarise } from "../../stages/evaluate/measures.ts";
import { pairsOf, regularisedBeta, type Sample, welch } from "../../stages/study/compare.ts";
import { verdict } from "../../stages/study/summary.ts";
import { assert, suite } from "../harness.ts";

const test = suite("study comparison");

const sample = (name: string, values: number[], published?: number): Sample => ({
  name,
  runs: values.map((value, seed) => ({ seed, value })),
  ...(published !== undefined && { published }),
});

test("the incomplete beta function is mpmath's at 40 digits", () => {
  const vectors: [x: number, a: number, b: number, value: number][] = [
    [0.3, 1.7, 0.5, 0.057893101597493855],
    [0.9, 1, 0.5, 0.6837722339831621],
    [0.05, 15.25, 0.5, 2.118171261553923e-21],
    [0.5, 0.5, 0.5, 0.5],
    [0.999, 3, 2.5, 0.9999997513262522],
    [1e-6, 2, 0.5, 3.7500012500007027e-13],
    [0.97, 40, 0.5, 0.11967313713875002],
  ];
  for (const [x, a, b, value] of vectors) assert.close(regularisedBeta(x, a, b) / value, 1, 1e-11, `I_${x}(${a}, ${b})`);
});

test("Welch's test is mpmath's, and the closed form for two degrees of freedom", () => {
  const [first, second] = [
    [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4],
    [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 30.0, 23.9],
  ] as [number[], number[]];
  assert.close(welch(summarise(first), summarise(second)), 0.008452732437443428, 1e-12);
  assert.close(welch(summarise([14.7, 15.1, 14.2]), summarise([12.0, 12.9, 11.8])), 0.005662590281399158, 1e-12);
  const t = 3 / Math.sqrt(2); // means 0 and 3, variance 2 and two values each
  assert.close(welch(summarise([-1, 1]), summarise([2, 4])), 1 - t / Math.sqrt(t * t + 2), 1e-12);
});

test("a difference is clear, likely or open", () => {
  const certainty = (a: number[], b: number[]) => pairsOf([sample("a", a), sample("b", b)])[0]?.certainty;
  assert.is(certainty([1, 1.1, 0.9], [2, 2.1, 1.9]), "clear");
  assert.is(certainty([1, 2, 3], [1.5, 2.5, 3.5]), "likely"); // spreads overlap, every seed agrees
  assert.is(certainty([1, 2, 3], [0.9, 2.5, 3.5]), "open");
  assert.is(certainty([1], [9]), "open"); // one seed tells nothing
  assert.is(pairsOf([sample("a", [1]), sample("b", [9])])[0]?.p, undefined);
});

test("likely asks the seeds that both have, wherever they stand", () => {
  const late: Sample = {
    name: "late",
    runs: [
      { seed: 1, value: 2.5 },
      { seed: 2, value: 3.5 },
    ],
  };
  assert.is(pairsOf([sample("a", [1, 2, 3]), late])[0]?.certainty, "likely");
  assert.is(pairsOf([sample("a", [1, 2.6, 3]), late])[0]?.certainty, "open");
});

test("the verdict says how far the order is the published one, and where it is clearly not", () => {
  const { order, pairs } = verdict([sample("squared", [10, 10.2], 110), sample("huber", [11, 11.2], 87), sample("ensemble", [2, 2.2], 22)]);
  assert.equal(order, [
    "Best to worst: ensemble, squared, huber.",
    "The order does not wholly agree with the published one: 2 of 3 pairs stand in it, 2 of the 3 that are clear here.",
    "Clearly against it: squared below huber.",
  ]);
  assert.is(pairs.length, 3);
  assert.match(pairs[0]!, /^squared is below huber by 1: clear: .*\(Welch's p 0.\d+\); published the other way round\.$/);
  const single = verdict([sample("a", [1], 1), sample("b", [2], 2)]).order;
  assert.is(single[1], "The order agrees with the published one: 1 of 1 pairs stand in it, no pair is clear here.");
  assert.match(verdict([sample("a", [1])]).order[0]!, /no order yet/);
  assert.is(verdict([sample("a", [1]), sample("b", [2])]).order.length, 1); // nothing is published of them
});

test.run();
