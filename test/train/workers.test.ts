/** Several workers that take micro-batches in turn are, to the bit, one worker that accumulates them. */
import { join } from "node:path";
import { train } from "../../pipelines/train.ts";
import type { Settings } from "../../schemas/settings.ts";
import { assert, suite } from "../harness.ts";
import { contents, inFolder, recordingContext, tinySettings, withTriples } from "./fixture.ts";

const test = suite("workers");

/** Commands are told their settings in different words. */
const SETTINGS = /settings\.yaml$/;

const settingsOf = (workers: number): Settings =>
  tinySettings({ train: { steps: 6, batch: 6, accumulate: 6, checkpointEvery: 3, distanceEvery: 0, workers } });

test(
  "a training by threads of two and of three workers writes the files of one",
  () =>
    inFolder(async (folder) => {
      const { at } = await withTriples(folder, settingsOf(1));
      const made = async (workers: number): Promise<Record<string, string>> => {
        const out = join(folder, `by-${workers}`);
        await train({
          store: at("triples"),
          teacher: at("teacher"),
          out,
          settings: settingsOf(workers),
          context: recordingContext().context,
        });
        return contents(out, SETTINGS);
      };
      const alone = await made(1);
      for (const workers of [2, 3]) assert.equal(await made(workers), alone);
    }),
  { seconds: 120 },
);

test.run();
