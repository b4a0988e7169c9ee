/** Attention in pieces is the attention of layers.ts, whatever the size of the pieces. */
import { createEngine } from "../../engine/engine.ts";
import type { Tensor } from "../../engine/tfjs.ts";
import { attention } from "../../models/layers.ts";
import { piecewiseAttention } from "../../models/published/layers.ts";
import { assert, suite } from "../harness.ts";

const test = suite("attention in pieces");
const [b, n, m, heads, d] = [2, 7, 5, 3, 6];

const biases: Record<string, number[]> = {
  "no bias": [],
  "a bias for each key": [b, 1, 1, m],
  "a bias for each query and key": [1, heads, n, m],
};

for (const [title, shape] of Object.entries(biases)) {
  test(`agrees with the whole one with ${title}`, async () => {
    const engine = await createEngine({ device: "cpu", threads: 1 });
    const shapes = { q: [b, n, d], k: [b, m, d], v: [b, m, d], ...(shape.length > 0 && { bias: shape }) };
    const inputs = Object.fromEntries(Object.entries(shapes).map(([name, of]) => [name, { shape: of }]));
    const limits = { single: 1, three: 3 * b * heads * m, six: 6 * b * heads * m, all: n * b * heads * m };
    const program = await engine.compile({
      name: "attention",
      sets: {},
      inputs,
      run: (_, given) => {
        const options = { ...(given as { q: Tensor; k: Tensor; v: Tensor; bias?: Tensor }), heads };
        const pieces = Object.entries(limits).map(([name, most]) => [name, piecewiseAttention(options, most)] as const);
        return { outputs: { whole: attention(options), ...Object.fromEntries(pieces) } };
      },
    });
    const values = Object.entries(shapes).map(([name, of], at) => [name, wave(of, at + 1)]);
    const { whole, ...pieces } = await program.run(Object.fromEntries(values));
    for (const [name, found] of Object.entries(pieces)) {
      for (const [i, expected] of (whole as Float32Array).entries())
        assert.ok(Math.abs((found[i] as number) - expected) < 1e-6, `${name}: ${found[i]} in place of ${expected}`);
    }
  });
}

/** Numbers that differ everywhere. */
const wave = (shape: number[], speed: number): Float32Array =>
  Float32Array.from({ length: shape.reduce((all, side) => all * side, 1) }, (_, i) => 3 * Math.sin(speed * i + speed));

test.run();
