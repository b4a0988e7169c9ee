import { together } from "../../stages/flow/together.ts";
import { assert, suite } from "../harness.ts";
import { recordingContext } from "./fixture.ts";

const test = suite("together");

const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));

test("the first failure stops the other jobs and is the one thrown, once all have ended", async () => {
  const ended: string[] = [];
  const waiting =
    (name: string) =>
    async ({ signal }: { signal: AbortSignal }) => {
      await untilAborted(signal).finally(() => ended.push(name));
    };
  const failing = async (): Promise<never> => {
    throw new Error("disk full");
  };
  await assert.rejects(together(recordingContext().context, [waiting("a"), failing, waiting("b")]), /disk full/);
  assert.equal(ended.sort(), ["a", "b"]);
});

test("an abort from outside ends every job with its reason", async () => {
  const { context, stop } = recordingContext();
  const running = together(context, [({ signal }) => untilAborted(signal)]);
  stop(new Error("Ctrl-C"));
  await assert.rejects(running, /Ctrl-C/);
});

test.run();
