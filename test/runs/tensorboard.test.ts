import { appendFile, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { double, fieldsOf, float, integer, message } from "../../engine/protobuf.ts";
import { crc32c } from "../../schemas/numbers/crc.ts";
import { maskedCrc32c, openEventFile, record, recordsOf } from "../../stages/runs/tensorboard.ts";
import { inFolder } from "../fixtures/folders.ts";
import { assert, suite } from "../harness.ts";

const test = suite("TensorBoard");
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const text = (words: string): Uint8Array => Buffer.from(words);

test("CRC-32C gives the vectors of RFC 3720, B.4, and the check value", () => {
  assert.is(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.is(crc32c(new Uint8Array(32).fill(255)), 0x62a8ab43);
  assert.is(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
  assert.is(crc32c(Uint8Array.from({ length: 32 }, (_, i) => 31 - i)), 0x113fdb5c);
  assert.is(crc32c(text("123456789")), 0xe3069283);
  assert.is(crc32c(new Uint8Array()), 0);
});

test("masks as LevelDB does, where masking is no fixed point and can be undone", () => {
  const crc = crc32c(text("foo"));
  const rotated = (maskedCrc32c(text("foo")) - 0xa282ead8) >>> 0;
  assert.is(((rotated >>> 17) | (rotated << 15)) >>> 0, crc);
  assert.is.not(maskedCrc32c(text("foo")), crc);
});

test("messages have the bytes that protobuf's documentation gives", () => {
  assert.is(hex(integer(1, 150)), "089601"); // "A Simple Message" of the encoding guide
  assert.is(hex(message(2, text("testing"))), "120774657374696e67");
  assert.is(hex(message(3, integer(1, 150))), "1a03089601");
  assert.is(hex(float(2, 1)), "150000803f");
  assert.is(hex(double(1, 1)), "09000000000000f03f");
  const fields = fieldsOf(Uint8Array.from(Buffer.concat([integer(2, 2 ** 40 + 1), double(1, 0.1), message(16, text("x"))])));
  assert.equal(fields, [
    { field: 2, value: 2n ** 40n + 1n },
    { field: 1, value: 0.1 },
    { field: 16, value: Uint8Array.of(120) },
  ]);
  assert.throws(() => fieldsOf(Uint8Array.of(0x12, 9, 1)), /cut off/);
});

test("an empty TFRecord has the bytes of TensorFlow's", () => {
  // tf.io.TFRecordWriter(path).write(b""): eight zero bytes, their masked CRC, and the masked CRC of nothing
  assert.is(hex(record(new Uint8Array())), "000000000000000029039807d8ea82a2");
});

test("writes scalars and pictures that can be read back, one file a run however often it goes on", () =>
  inFolder(async (folder) => {
    const open = (from: number) => openEventFile({ folder, from, clock: () => 1_700_000_000.5 });
    const first = await open(0);
    for (const step of [10, 20, 30]) first.scalars(step, { "training/loss": 1 / step, "training/norm": step });
    first.picture(20, { tag: "samples", png: Uint8Array.of(1, 2, 3), width: 640, height: 480 });
    await first.flush();
    const [name] = await readdir(folder);
    assert.is(name, "events.out.tfevents.1700000000.onestep");
    const path = join(folder, name!);
    const whole = await readFile(path);
    const events = recordsOf(whole).map(fieldsOf);
    assert.is(events.length, 5);
    assert.is(events[0]![0]!.value, 1_700_000_000.5);
    assert.is(Buffer.from(bytesOf(events[0]!, 3)).toString(), "brain.Event:2");
    const line = (step: number) => ({ "training/loss": Math.fround(1 / step), "training/norm": step });
    assert.equal(scalarsOf(whole), { 10: line(10), 20: line(20), 30: line(30) });
    const [value] = fieldsOf(bytesOf(events[4]!, 5));
    const image = fieldsOf(bytesOf(fieldsOf(value!.value as Uint8Array), 4));
    assert.equal(
      image.slice(0, 3).map(({ field, value }) => [field, Number(value)]),
      [
        [1, 480],
        [2, 640],
        [3, 3],
      ],
    );
    assert.equal([...bytesOf(image, 4)], [1, 2, 3]);

    await appendFile(path, whole.subarray(0, 30)); // a record torn by a kill
    const again = await open(20);
    again.scalars(30, { "training/loss": 1 / 30, "training/norm": 30 });
    await again.flush();
    assert.is((await readdir(folder)).length, 1);
    assert.equal(Object.keys(scalarsOf(await readFile(path))), ["10", "20", "30"]);

    const anew = await open(0);
    await anew.flush();
    assert.equal(scalarsOf(await readFile(path)), {});
  }));

test("what follows a flipped bit is not read", () => {
  const file = Buffer.concat([record(text("one")), record(text("two")), record(text("three"))]);
  for (const at of [19 + 2, 19 + 13, 19 + 17]) {
    const broken = Uint8Array.from(file);
    broken[at]! ^= 4;
    assert.equal(
      recordsOf(broken).map((data) => Buffer.from(data).toString()),
      ["one"],
      `byte ${at}`,
    );
  }
  assert.is(recordsOf(file).length, 3);
});

function scalarsOf(file: Uint8Array): Record<number, Record<string, number>> {
  const steps: Record<number, Record<string, number>> = {};
  for (const event of recordsOf(file).map(fieldsOf)) {
    const step = event.find(({ field }) => field === 2);
    const summary = event.find(({ field }) => field === 5);
    if (!step || !summary) continue;
    for (const { value } of fieldsOf(summary.value as Uint8Array)) {
      const fields = fieldsOf(value as Uint8Array);
      const simple = fields.find(({ field }) => field === 2);
      const tag = Buffer.from(bytesOf(fields, 1)).toString();
      if (simple) steps[Number(step.value)] = { ...steps[Number(step.value)], [tag]: simple.value as number };
    }
  }
  return steps;
}

const bytesOf = (fields: ReturnType<typeof fieldsOf>, field: number): Uint8Array =>
  fields.find((one) => one.field === field)!.value as Uint8Array;

test.run();
