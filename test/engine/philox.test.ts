import { assert, suite } from "../harness.ts";
import { cosTurn, integers, logUnit, normals, permutation, philox4x32, sinTurn, uniforms } from "../../schemas/numbers/philox.ts";

const test = suite("philox");
const hex = (words: Uint32Array) => Array.from(words, (word) => word.toString(16).padStart(8, "0")).join(" ");

test("matches the known answers published with Random123", () => {
  const ones = 0xffffffff;
  assert.is(hex(philox4x32([0, 0, 0, 0], [0, 0])), "6627e8d5 e169c58d bc57ac4c 9b00dbd8");
  assert.is(hex(philox4x32([ones, ones, ones, ones], [ones, ones])), "408f276d 41c83b0e a20bc7c6 6d5451fd");
  const pi = [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344]; // the digits of pi, as in the reference's kat_vectors
  assert.is(hex(philox4x32(pi, [0xa4093822, 0x299f31d0])), "d16cfe09 94fdcceb 5001e420 24126ea1");
});

test("own logarithm, sine and cosine agree with Math", () => {
  const edges = [0, 1, 2, 2 ** 29, 2 ** 30, 2 ** 31, 3 * 2 ** 30].flatMap((word) => [word, (word + 2 ** 32 - 1) % 2 ** 32]);
  const words = [...edges, ...integers({ seed: 1, stream: "words", length: 100_000, below: 2 ** 32 })];
  for (const word of words) {
    const u = (word + 0.5) / 2 ** 32;
    assert.close(logUnit(word) / Math.log(u), 1, 1e-15);
    assert.close(cosTurn(word), Math.cos(2 * Math.PI * u), 2e-15);
    assert.close(sinTurn(word), Math.sin(2 * Math.PI * u), 2e-15);
  }
  for (let shift = 0; shift < 32; shift++) {
    const u = (2 ** shift + 0.5) / 2 ** 32;
    assert.close(logUnit(2 ** shift) / Math.log(u), 1, 1e-15);
  }
});

test("normals are Box-Muller over the published blocks", () => {
  const words = philox4x32([5, 0, 3, 0], [7, 0]);
  const u = Array.from(words, (word) => (word + 0.5) / 2 ** 32) as [number, number, number, number];
  const [a, b] = [Math.sqrt(-2 * Math.log(u[0])), Math.sqrt(-2 * Math.log(u[2]))];
  const angles = [2 * Math.PI * u[1], 2 * Math.PI * u[3]] as [number, number];
  const expected = [a * Math.cos(angles[0]), a * Math.sin(angles[0]), b * Math.cos(angles[1]), b * Math.sin(angles[1])];
  const drawn = normals({ seed: 7, stream: 3, offset: 20, length: 4 });
  for (let i = 0; i < 4; i++) assert.close(drawn[i] as number, expected[i] as number, 1e-6);
});

test("normals have the moments and tails of N(0, 1)", () => {
  const n = 1_000_000;
  const x = normals({ seed: 2, stream: "moments", length: n });
  const moment = (power: number) => x.reduce((sum, value) => sum + value ** power, 0) / n;
  // Tolerances are five standard errors.
  assert.close(moment(1), 0, 5 * Math.sqrt(1 / n));
  assert.close(moment(2), 1, 5 * Math.sqrt(2 / n));
  assert.close(moment(3), 0, 5 * Math.sqrt(15 / n));
  assert.close(moment(4), 3, 5 * Math.sqrt(96 / n));
  const beyond2 = x.filter((value) => Math.abs(value) > 2).length / n;
  assert.close(beyond2, 0.0455003, 5 * Math.sqrt(0.0455 / n));
  let neighbours = 0;
  for (let i = 1; i < n; i++) neighbours += ((x[i] as number) * (x[i - 1] as number)) / n;
  assert.close(neighbours, 0, 5 * Math.sqrt(1 / n));
});

test("a slice at any offset equals the whole", () => {
  const draw = { seed: 2n ** 63n + 3n, stream: "slices" };
  const whole = { normals: normals({ ...draw, length: 64 }), uniforms: uniforms({ ...draw, length: 64 }) };
  for (let offset = 0; offset < 9; offset++) {
    for (const length of [0, 1, 2, 3, 5, 17]) {
      assert.equal(normals({ ...draw, offset, length }), whole.normals.slice(offset, offset + length));
      assert.equal(uniforms({ ...draw, offset, length }), whole.uniforms.slice(offset, offset + length));
    }
  }
});

test("offsets past 2^34 reach the second counter word", () => {
  const far = normals({ seed: 1, stream: 0, offset: 2 ** 34, length: 4 });
  assert.not.equal(far, normals({ seed: 1, stream: 0, length: 4 }));
  const straddling = normals({ seed: 1, stream: 0, offset: 2 ** 34 - 2, length: 6 });
  assert.equal(straddling.slice(2), far);
});

test("seeds and streams of 64 bits are all distinct", () => {
  const first = (seed: number | bigint, stream: number | bigint | string) => normals({ seed, stream, length: 1 })[0];
  const seeds = [0, 1, 2n ** 32n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 64n - 1n];
  assert.is(new Set(seeds.map((seed) => first(seed, 0))).size, seeds.length);
  assert.is(new Set([0, 1, 2n ** 40n, "", "a", "b"].map((stream) => first(0, stream))).size, 6);
  assert.is(first(12, 0), first(12n, 0));
});

test("a string stream is its 64-bit FNV-1a hash", () => {
  // Published vectors: FNV-1a 64 of "" and "foobar".
  assert.equal(uniforms({ seed: 0, stream: "", length: 3 }), uniforms({ seed: 0, stream: 0xcbf29ce484222325n, length: 3 }));
  const foobar = { seed: 0, stream: 0x85944171f73967e8n, length: 3 };
  assert.equal(uniforms({ ...foobar, stream: "foobar" }), uniforms(foobar));
});

test("uniforms are flat and integers stay below their bound", () => {
  const n = 100_000;
  const counts = new Array<number>(10).fill(0);
  for (const value of integers({ seed: 3, stream: 0, length: n, below: 10 })) counts[value] = (counts[value] ?? 0) + 1;
  const chiSquared = counts.reduce((sum, count) => sum + (count - n / 10) ** 2 / (n / 10), 0);
  assert.is(counts.length, 10);
  assert.ok(chiSquared < 33.7, `chi squared of 9 degrees of freedom ${chiSquared}`); // p = 1e-4
});

test("permutations are permutations, uniform over all orders", () => {
  const long = permutation({ seed: 4, stream: 1, length: 1000 });
  assert.equal(
    [...long].sort((a, b) => a - b),
    Array.from({ length: 1000 }, (_, i) => i),
  );
  const counts = new Map<string, number>();
  for (let stream = 0; stream < 6000; stream++) {
    const order = permutation({ seed: 4, stream, length: 3 }).join();
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  assert.is(counts.size, 6);
  for (const count of counts.values()) assert.close(count, 1000, 150); // five standard errors
});

test("refuses what it cannot honour", () => {
  for (const seed of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
    assert.throws(() => normals({ seed, stream: 0, length: 1 }), /Cannot seed with/);
  }
  assert.throws(() => normals({ seed: 0, stream: 0, length: -1 }), /length -1/);
  assert.throws(() => uniforms({ seed: 0, stream: 0, offset: 0.5, length: 1 }), /offset 0.5/);
  assert.throws(() => integers({ seed: 0, stream: 0, length: 1, below: 0 }), /below 0/);
});

test.run();
