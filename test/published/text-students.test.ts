/** Students of published teachers that read texts, from prompts over triples to their pictures. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { sample } from "../../pipelines/sample.ts";
import { simulate } from "../../pipelines/simulate.ts";
import { train } from "../../pipelines/train.ts";
import { readDenoiser } from "../../stages/runs/model.ts";
import { openTripleStore, readTriples } from "../../store/rows/triples.ts";
import { assert, suite } from "../harness.ts";
import { recordingContext } from "../train/fixture.ts";
import { pipelines } from "./golden.ts";
import { PROMPTS, prompted } from "./quick.ts";

const test = suite("students of published teachers that read texts");
const at = (name: string): string => join(pipelines, name);

if (!existsSync(pipelines)) test.skip("of tiny pipelines", `there is no ${pipelines}`);
else {
  for (const [name, method] of [
    ["sd15", "diffusion2gan"],
    ["sd3", "tlcm"],
  ] as const) {
    test(
      `${name}: prompts, triples, a student by ${method}, and its picture of a prompt`,
      async () => {
        const { folder, settings } = await prompted(method);
        const { context } = recordingContext();
        const [triples, out] = [join(folder, "triples"), join(folder, "student")];
        const store = method === "tlcm" ? undefined : triples; // it learns from the teacher itself
        if (store) {
          await simulate({ teacher: at(name), out: store, settings, context });
          const rows = await readTriples(await openTripleStore({ folder: store }), 0);
          assert.equal(
            rows.map(({ caption }) => caption),
            rows.map(({ id }) => PROMPTS[id % 3]),
          );
          assert.is.not(String(rows[0]!.latent), String(rows[1]!.latent));
        }
        await train({ store, teacher: at(name), out, settings, context });
        await sample({ model: out, count: 2, prompt: "a fox", out: join(folder, "samples.png"), settings, context });
        const { description } = await readDenoiser(out);
        assert.is(description.textEncoders, at(name));
        if (store) assert.equal(new Set(description.captions), new Set(PROMPTS));
      },
      { seconds: 600 },
    );
  }
}

test.run();
