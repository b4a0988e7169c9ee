/** Gradients in shared memory: added in the order of micro-batches, whoever comes first, and given up when a worker has stopped. */
import { createMeeting, joinMeeting, stopMeeting } from "../../models/training/shared-sum.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import type { Weights } from "../../engine/weights.ts";
import { assert, suite } from "../harness.ts";

const test = suite("shared sum");

/** Tensors that no chunk begins or ends with, of very different sizes: the order of additions shows in the last bits. */
const gradient = (part: number): Weights => {
  const of = (name: string, length: number) => ({
    shape: [length],
    data: normals({ seed: 1, stream: name, offset: part * length, length }).map((value) => value * 10 ** (part % 5)),
  });
  return { a: of("a", 7), b: of("b", 1), c: of("c", 30) };
};

/** Left to right in float32, one number after the other. */
function expected(parts: number): Weights {
  const sum = gradient(0);
  for (let part = 1; part < parts; part++) {
    for (const [name, { data }] of Object.entries(gradient(part))) {
      data.forEach((value, i) => (sum[name]!.data[i] = Math.fround(sum[name]!.data[i]! + value)));
    }
  }
  return sum;
}

/** What lies in shared memory, in memory of its own. */
const copied = (sum: Weights): Weights =>
  Object.fromEntries(Object.entries(sum).map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]));

for (const [workers, parts, chunk] of [
  [1, 3, 8],
  [2, 2, 5],
  [3, 6, 4],
  [3, 3, 64],
] as const)
  test(`${workers} workers, ${parts} micro-batches, chunks of ${chunk}: three updates after one another`, async () => {
    const meeting = createMeeting({ size: 38, parts, chunk });
    const wanted = expected(parts);
    const order = Array.from({ length: workers }, (_, i) => workers - 1 - i); // the last comes first
    const members = order.map((worker) => joinMeeting(meeting, { worker, workers }));
    await Promise.all(
      members.map(async (member) => {
        for (let update = 0; update < 3; update++) {
          for (let part = member.worker; part < parts; part += workers) await member.add(part, gradient(part), [update, part]);
          const scalars = await member.take(gradient(0), 2, async (sum) => assert.equal(copied(sum), wanted));
          assert.equal(
            scalars.map((values) => [...values]),
            Array.from({ length: parts }, (_, part) => [update, part]),
          );
        }
      }),
    );
  });

test("a shorter gradient after a longer one, and sums too small for a float32 of full precision are zero", async () => {
  const meeting = createMeeting({ size: 9, parts: 2, chunk: 2 });
  const alone = joinMeeting(meeting, { worker: 0, workers: 1 });
  const of = (...values: number[]): Weights => ({ w: { shape: [values.length], data: Float32Array.from(values) } });
  const sumOf = async (one: Weights, two: Weights): Promise<number[]> => {
    await alone.add(0, one, []);
    await alone.add(1, two, []);
    let sum: number[] = [];
    await alone.take(one, 0, async ({ w }) => void (sum = [...w!.data]));
    return sum;
  };
  assert.equal(await sumOf(of(1, 2, 3, 4, 5, 6, 7, 8, 9), of(9, 8, 7, 6, 5, 4, 3, 2, 1)), Array(9).fill(10));
  assert.equal(await sumOf(of(1, 2 ** -120), of(2, 2 ** -130 - 2 ** -120)), [3, 0]);
  assert.equal(await sumOf(of(Number.NaN, 1), of(1, Number.POSITIVE_INFINITY)), [Number.NaN, Number.POSITIVE_INFINITY]);
});

test("who waits for a worker that has stopped is told so", async () => {
  const meeting = createMeeting({ size: 38, parts: 2 });
  const member = joinMeeting(meeting, { worker: 1, workers: 2 });
  const waiting = member.add(1, gradient(1), []);
  stopMeeting(meeting);
  await assert.rejects(waiting, /another worker of this training has stopped/);
  await assert.rejects(
    member.take(gradient(0), 0, async () => {}),
    /has stopped/,
  );
  await assert.rejects(joinMeeting(meeting, { worker: 0, workers: 2 }).add(0, gradient(0), []), /has stopped/);
});

test.run();
