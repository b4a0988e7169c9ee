/** Holds published networks to the golden vectors of ../shared/pipelines, and skips where they are absent. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { forwardParity } from "../../stages/published/golden.ts";
import { assert, type suite } from "../harness.ts";

export const pipelines = fileURLToPath(new URL("../../../shared/pipelines/", import.meta.url));

type Test = ReturnType<typeof suite>;

/** A test of a tiny pipeline: all of `count` results that are computed again agree within their tolerances. */
export function holdToParity(
  test: Test,
  options: { pipeline: string; what: string; count: number; parity: typeof forwardParity; seconds?: number },
): void {
  const { pipeline, what, count, parity, seconds } = options;
  const title = `${pipeline}: ${what} with the published library`;
  const folder = join(pipelines, pipeline);
  if (!existsSync(folder)) {
    test.skip(title, `there is no ${folder}`);
    return;
  }
  const compare = async (): Promise<void> => {
    let compared = 0;
    for await (const { what, difference, tolerance } of parity({ folder, path: join(folder, "golden.safetensors") })) {
      assert.ok(difference <= tolerance, `${what}: ${difference}`);
      compared++;
    }
    assert.is(compared, count);
  };
  test(title, compare, seconds === undefined ? {} : { seconds });
}

/** A test for each pipeline: its forwards whose names begin so agree within the tolerance, and `count` outputs are compared. */
export function holdToGolden(test: Test, cases: readonly [pipeline: string, prefix: string, count: number][]): void {
  for (const [pipeline, prefix, count] of cases) {
    const parity: typeof forwardParity = (at) => forwardParity({ ...at, only: (name) => name.startsWith(prefix) });
    holdToParity(test, { pipeline, what: `${prefix} agrees`, count, parity });
  }
}
