/** Adding many rows into few places: right, and the same bits for any number of threads. */
import { createEngine } from "../../engine/engine.ts";
import { tf, type Tensor, type Tensor1D } from "../../engine/tfjs.ts";
import { assert, suite } from "../harness.ts";
import { sample } from "./parity.ts";

const test = suite("scatter");
const WIDTH = 64;

for (const { title, n, rows } of [
  { title: "few rows, as a product", n: 4000, rows: 13 },
  { title: "many rows, one after another", n: 4000, rows: 1000 },
]) {
  test(title, async () => {
    // Ids below and beyond the rows are dropped.
    const ids = Int32Array.from({ length: n }, (_, i) => ((i * 7919) % (rows + 5)) - 2);
    const x = sample("x", [n, WIDTH]);
    const expected = new Float64Array(rows * WIDTH);
    const inside = (id: number): boolean => id >= 0 && id < rows;
    for (let i = 0; i < n * WIDTH; i++) {
      const id = ids[Math.floor(i / WIDTH)]!;
      if (inside(id)) expected[id * WIDTH + (i % WIDTH)]! += x[i]!;
    }
    const kept = Int32Array.from(ids, (id) => (inside(id) ? id : 0)); // tf.scatterND and tf.gather allow no others
    const outcomes = [];
    for (const threads of [1, 2, 4]) {
      const engine = await createEngine({ device: "cpu", threads });
      const program = await engine.compile({
        name: "scatter",
        sets: {},
        inputs: {
          x: { shape: [n, WIDTH] },
          ids: { shape: [n], dtype: "int32" },
          kept: { shape: [n], dtype: "int32" },
          table: { shape: [rows, WIDTH] },
        },
        run: (_, { x, ids, kept, table }) => {
          const looked = (t: Tensor): Tensor => tf.sum(tf.mul(tf.gather(t, kept as Tensor1D), x as Tensor));
          return {
            outputs: {
              segments: tf.unsortedSegmentSum(x as Tensor, ids as Tensor1D, rows),
              scattered: tf.scatterND(tf.reshape(kept as Tensor, [n, 1]), x as Tensor, [rows, WIDTH]),
              gradient: tf.grad(looked as (t: Tensor) => Tensor)(table as Tensor),
            },
          };
        },
      });
      const run = await program.run({ x, ids, kept, table: new Float32Array(rows * WIDTH) });
      outcomes.push(Object.fromEntries(Object.entries(run).map(([name, values]) => [name, Float32Array.from(values)])));
      await engine.dispose();
    }
    const [first, ...others] = outcomes;
    assert.close(first!.segments!, Float32Array.from(expected), 1e-4);
    assert.close(first!.gradient!, first!.scattered!, 1e-4);
    for (const other of others) assert.equal(other, first);
  });
}

test.run();
