/** Several workers that take micro-batches in turn are, to the bit, one worker that accumulates them: whole trainings, in threads. */
import type { Compute } from "../../engine/compute.ts";
import { createMeeting, joinMeeting, type Meeting, type SharedSum } from "../../models/training/shared-sum.ts";
import { simulate } from "../../pipelines/simulate.ts";
import { train } from "../../pipelines/train.ts";
import type { Context } from "../../schemas/events.ts";
import type { Settings } from "../../schemas/settings.ts";
import { startTeam } from "../../stages/workers/team.ts";
import type { TrainerApi } from "../../stages/workers/trainer.ts";
import { assert, suite } from "../harness.ts";
import { contents, inFolder, recordingContext, tinySettings, withTriples } from "./fixture.ts";

const test = suite("workers");

/** Commands are told their settings in different words. */
const SETTINGS = /settings\.yaml$/;

const settingsOf = (workers: number): Settings =>
  tinySettings({
    train: { steps: 4, batch: 6, accumulate: 6, checkpointEvery: 2, pictureEvery: 4, distanceEvery: 0, keep: "last", workers },
  });

test(
  "a training by threads of three workers writes the files of one, also where it is stopped and goes on with another number",
  () =>
    inFolder(async (folder) => {
      const { at } = await withTriples(folder, settingsOf(1));
      const by = (workers: number, name: string, context: Context = recordingContext().context) =>
        train({ store: at("triples"), teacher: at("teacher"), out: at(name), settings: settingsOf(workers), context });
      await by(1, "alone");
      const alone = await contents(at("alone"), SETTINGS);
      await by(3, "three");
      assert.equal(await contents(at("three"), SETTINGS), alone);
      const { context, stop } = recordingContext();
      const stopping: Context = {
        ...context,
        report: (event) => {
          if (event.type === "progress" && event.stage === "train" && event.done === 3) stop(new Error("stopped"));
        },
      };
      await assert.rejects(by(3, "broken", stopping), /^stopped$/);
      await by(2, "broken");
      assert.equal(await contents(at("broken"), SETTINGS), alone);
    }),
  { seconds: 120 },
);

test(
  "shards by two samplers side by side are those of one",
  () =>
    inFolder(async (folder) => {
      const { at, context } = await withTriples(folder, tinySettings());
      const settings = tinySettings({ simulate: { workers: 2 } });
      await simulate({ teacher: at("teacher"), out: at("by-two"), settings, context });
      assert.equal(await contents(at("by-two")), await contents(at("triples")));
    }),
  { seconds: 60 },
);

/** A team of members that only add up a number, of which `fails` has one throw. */
function summing({ fails = -1, isExact = true }: { fails?: number; isExact?: boolean } = {}) {
  const calls: string[] = [];
  const team = startTeam({
    workers: 2,
    isExact,
    start: async (worker) => {
      let sum: SharedSum;
      const one = { w: { shape: [1], data: Float32Array.of(worker + 1) } };
      const methods: Record<string, (argument: never) => unknown> = {
        meeting: () => createMeeting({ size: 1, parts: 2 }),
        join: (meeting: Meeting) => {
          sum = joinMeeting(meeting, { worker, workers: 2 });
        },
        step: async () => {
          if (worker === fails) throw new Error(`worker ${worker} is out of memory`);
          await sum.add(worker, one, []);
          let loss = 0;
          await sum.take(one, 0, async ({ w }) => void (loss = w!.data[0]!));
          return { loss };
        },
        save: () => ({ network: one }),
        load: () => {},
      };
      return {
        call: async (method: string, argument: never) => {
          calls.push(`${worker} ${method}`);
          return methods[method]!(argument);
        },
        close: async () => void calls.push(`${worker} close`),
      } as Compute<TrainerApi>;
    },
  });
  return { team, calls };
}

test("a worker that fails ends the step of all with its own error", async () => {
  for (const fails of [0, 1]) {
    const { team, calls } = summing({ fails });
    const trainer = await team;
    await assert.rejects(trainer.call("step", {} as never), new RegExp(`^worker ${fails} is out of memory$`));
    await trainer.close();
    assert.equal(calls.slice(-2), ["0 close", "1 close"]);
  }
});

test("workers of devices that are not exact begin again from the first one's state whenever it is saved", async () => {
  for (const isExact of [true, false]) {
    const { team, calls } = summing({ isExact });
    const trainer = await team;
    assert.equal(await trainer.call("step", {} as never), { loss: 3 });
    await trainer.call("save", undefined);
    assert.is(calls.includes("1 load"), !isExact);
    assert.not.ok(calls.includes("0 load"));
    await trainer.close();
  }
});

test.run();
