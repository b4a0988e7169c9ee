/** Device "auto" becomes one that is there, and says which. */
import type { PipelineEvent } from "../../schemas/events.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { withDevice } from "../../stages/doctor/choose.ts";
import { assert, suite } from "../harness.ts";

const test = suite("device auto");
const { signal } = new AbortController();

test("auto becomes the fastest device that answers, and is reported", async () => {
  const events: PipelineEvent[] = [];
  const { engine } = await withDevice(settingsSchema.parse({ engine: { device: "auto", threads: 1 } }), {
    signal,
    report: (event) => events.push(event),
  });
  assert.ok(["cpu", "webgpu", "cuda"].includes(engine.device));
  assert.is(engine.threads, 1);
  assert.is(events.length, 1);
  assert.match((events[0] as { message: string }).message, new RegExp(`"auto" is ${engine.device} here.*cpu [0-9.e+]+ ms`));
});

test("a device that is named stays, without a word", async () => {
  const given = settingsSchema.parse({});
  assert.is(await withDevice(given, { signal, report: () => assert.unreachable() }), given);
});

test("an aborted search ends with the signal's reason", async () => {
  const controller = new AbortController();
  controller.abort(new Error("enough"));
  await assert.rejects(
    withDevice(settingsSchema.parse({ engine: { device: "auto" } }), { signal: controller.signal, report: () => {} }),
    "enough",
  );
});

test.run();
