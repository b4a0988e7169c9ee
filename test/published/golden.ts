/** Holds published networks to the golden vectors of ../shared/pipelines, and skips where they are absent. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { forwardParity } from "../../stages/published/golden.ts";
import { assert, type suite } from "../harness.ts";

export const pipelines = fileURLToPath(new URL("../../../shared/pipelines/", import.meta.url));

/** A test for each pipeline: its forwards whose names begin so agree within the tolerance, and `count` outputs are compared. */
export function holdToGolden(test: ReturnType<typeof suite>, cases: readonly [pipeline: string, prefix: string, count: number][]): void {
  for (const [pipeline, prefix, count] of cases) {
    const title = `${pipeline}: ${prefix} agrees with the published library`;
    const folder = join(pipelines, pipeline);
    if (!existsSync(folder)) {
      test.skip(title, `there is no ${folder}`);
      continue;
    }
    test(title, async () => {
      let compared = 0;
      const path = join(folder, "golden.safetensors");
      for await (const { what, difference, tolerance } of forwardParity({ folder, path, only: (name) => name.startsWith(prefix) })) {
        assert.ok(difference <= tolerance, `${what}: ${difference}`);
        compared++;
      }
      assert.is(compared, count);
    });
  }
}
