/** A teacher of captions says what it cannot read of them. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ingest } from "../../pipelines/ingest.ts";
import { pretrain } from "../../pipelines/pretrain.ts";
import { picture } from "../fixtures/png.ts";
import { assert, suite } from "../harness.ts";
import { inFolder, recordingContext, tinySettings } from "./fixture.ts";

const test = suite("captions of a teacher");

test(
  "captions longer than network.captionTokens are counted, and those that become equal",
  () =>
    inFolder(async (folder) => {
      const images = join(folder, "images");
      await mkdir(images);
      for (let i = 0; i < 8; i++) {
        await writeFile(join(images, `${i}.png`), picture(i));
        await writeFile(join(images, `${i}.txt`), `a wide view over the harbour in the evening light with ${["boats", "gulls"][i % 2]}`);
      }
      const tiny = tinySettings();
      const at = (captionTokens: number) => ({
        ...tiny,
        network: { ...tiny.network, condition: "caption" as const, captionTokens },
        pretrain: { ...tiny.pretrain, teacher: { ...tiny.pretrain.teacher, steps: 1 } },
      });
      const warnings = async (captionTokens: number): Promise<string[]> => {
        const { context, events } = recordingContext();
        await pretrain({ what: "teacher", data, out: join(folder, `teacher-${captionTokens}`), settings: at(captionTokens), context });
        return events.flatMap((event) => (event.type === "warning" ? event.message : []));
      };
      const data = join(folder, "latents");
      await ingest({ images: [images], out: data, settings: at(8), context: recordingContext().context });
      const [warning = "", ...others] = await warnings(8);
      assert.equal(others, []);
      const expected =
        /^8 of 8 captions are longer .* \(8 pieces, .*; 8 become equal to others: of 2 different ones 1 is left\. .*captionTokens=(\d+)$/;
      assert.match(warning, expected);
      assert.equal(await warnings(Number(expected.exec(warning)![1])), []);
    }),
  { seconds: 120 },
);

test.run();
