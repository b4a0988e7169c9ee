import { normals } from "../../schemas/numbers/philox.ts";
import { conditionalDiversity } from "../../models/metrics/diversity.ts";
import { assert, suite } from "../harness.ts";

const test = suite("diversity within a condition");

test("pairs are of one condition and never a row with itself", () => {
  // Two a condition, 3 and 5 apart; conditions 100 apart.
  const features = Float32Array.of(0, 100, 3, 105);
  const found = conditionalDiversity({ features, dimension: 1, conditions: ["a", "b", "a", "b"], pairs: 20_000 })!;
  assert.close(found, 4, 0.03);
});

test("a condition of one row has no pairs, and without any pair there is no figure", () => {
  const features = Float32Array.of(0, 2, 1000);
  assert.is(conditionalDiversity({ features, dimension: 1, conditions: ["a", "a", "b"] }), 2);
  assert.is(conditionalDiversity({ features, dimension: 1, conditions: ["a", "b", "c"] }), undefined);
});

test("standard normals in d dimensions lie 2 gamma((d + 1) / 2) / gamma(d / 2) apart; copies do not", () => {
  const [rows, dimension] = [2000, 2];
  const features = normals({ seed: 1, stream: "diversity", length: rows * dimension });
  const conditions = new Array<string>(rows).fill("");
  assert.close(conditionalDiversity({ features, dimension, conditions })!, Math.sqrt(Math.PI), 0.03);
  assert.is(conditionalDiversity({ features: new Float32Array(rows * dimension), dimension, conditions }), 0);
});

test.run();
