/** The examples of the engine do what they say. */
import { readdir, readFile } from "node:fs/promises";
import { trainClassifier } from "../../engine/examples/classifier.ts";
import { fitCurve } from "../../engine/examples/curve.ts";
import { fitSmoothly } from "../../engine/examples/smooth.ts";
import { assert, suite } from "../harness.ts";

const test = suite("examples");

test("a curve is fitted", async () => {
  const { coefficients, loss } = await fitCurve();
  assert.close(coefficients, [0.5, -1, 0.25, 2], 0.02);
  assert.ok(loss < 2e-4);
});

test("a penalty on the second derivative makes a network smooth", async () => {
  const [free, smooth] = [await fitSmoothly({ weight: 0 }), await fitSmoothly({ weight: 1e-3 })];
  assert.ok(free.error < 0.1 && smooth.error < 0.3, `errors ${free.error} and ${smooth.error}`);
  assert.ok(smooth.curvature < 0.5 * free.curvature, `curvatures ${free.curvature} and ${smooth.curvature}`);
});

test("a classifier tells bars apart by the variables another program trained", async () => {
  const right = await trainClassifier();
  assert.ok(right > 0.9, `told right: ${right}`);
});

test("the engine imports nothing from the rest of the project, its examples only what draws their data", async () => {
  const folder = new URL("../../engine/", import.meta.url);
  for (const name of (await readdir(folder, { recursive: true })).filter((path) => path.endsWith(".ts"))) {
    const depth = name.split("/").length;
    for (const [, path] of (await readFile(new URL(name, folder), "utf8")).matchAll(/from "(\.[^"]*)"/g)) {
      const isData = name.startsWith("examples/") && path!.startsWith("../../schemas/numbers/");
      assert.ok(isData || (path!.match(/\.\.\//g) ?? []).length < depth, `${name} imports ${path}`);
    }
  }
});

test.run();
