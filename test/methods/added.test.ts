/** A method is one file and one recipe: a copy of this tree with nothing else added trains by it. */
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { assert, suite } from "../harness.ts";
import { inFolder, writeSquares } from "../train/fixture.ts";

const test = suite("an added method");
const root = fileURLToPath(new URL("../../", import.meta.url));
const fixture = (name: string): string => join(root, "test/fixtures/method", name);
const SOURCES = [
  "bin",
  "data",
  "engine",
  "methods",
  "models",
  "pipelines",
  "recipes",
  "schemas",
  "stages",
  "store",
  "package.json",
  "tsconfig.json",
];

/** Makes JavaScript of the tree too where test/run.mjs did of the sources: to translate at each start takes long. */
async function translated(tree: string): Promise<NodeJS.ProcessEnv> {
  if (!process.env.ONESTEP_BUILT) return process.env;
  const { translate } = (await import(new URL("../translate.mjs", import.meta.url).href)) as {
    translate: (root: string, folder: string) => Promise<void>;
  };
  const folder = join(tree, ".built-tree");
  await translate(tree, folder);
  return { ...process.env, ONESTEP_BUILT: folder };
}

test(
  "one file and one recipe are all that it takes, with data or without",
  () =>
    inFolder(async (folder) => {
      const tree = await mkdtemp(join(tmpdir(), "onestep-method-"));
      try {
        const isOwn = (source: string): boolean => !/\/data\/(runs|stores)$/.test(source);
        for (const part of SOURCES) await cp(join(root, part), join(tree, part), { recursive: true, filter: isOwn });
        await symlink(join(root, "node_modules"), join(tree, "node_modules"));
        await cp(fixture("regression.ts"), join(tree, "methods/regression.ts"));
        await cp(fixture("regression.yaml"), join(tree, "recipes/regression.yaml"));
        await cp(fixture("dataless.ts"), join(tree, "methods/dataless.ts"));
        await cp(fixture("waymarks.ts"), join(tree, "methods/waymarks.ts"));
        const env = await translated(tree);
        const pipeline = async (...words: string[]): Promise<string> => {
          const { stdout, stderr } = await promisify(execFile)(join(tree, "bin/pipeline"), words, { cwd: tree, env });
          return stdout + stderr;
        };

        assert.match(await pipeline("methods"), /^regression\n +about +squared error/m);
        const images = await writeSquares(folder);
        const out = join(folder, "run");
        const words = [
          "run",
          images,
          "--preset",
          "smoke",
          "--method",
          "regression",
          "--out",
          out,
          "--set",
          "train.regression.latentWeight=2",
          "--trajectory",
          "0,2",
        ];
        await pipeline(...words, "--set", "train.steps=20", "--set", "evaluate.speed=false");
        const lines = (await readFile(join(out, "student/metrics.jsonl"), "utf8"))
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line));
        const [first, last] = [lines[0], lines.at(-1)];
        assert.is(last.step, 20);
        for (const { loss, difference } of lines) assert.ok(Math.abs(loss - 2 * difference) < 1e-5 * loss, "its own setting counts");
        assert.ok(last.difference < first.difference, `${last.difference} is no less than ${first.difference}`);
        assert.match(await readFile(join(out, "student/run.html"), "utf8"), /Difference of latents/);

        const teacher = ["--teacher", join(out, "teacher"), "--preset", "smoke"];
        await pipeline("train", ...teacher, "--method", "dataless", "--out", join(folder, "dataless"), "--set", "train.steps=30");
        const losses = (await readFile(join(folder, "dataless/metrics.jsonl"), "utf8"))
          .match(/"loss":[^,]+/g)!
          .map((text) => Number(text.slice(7)));
        assert.ok(losses.at(-1)! < losses[0]!, "a method that needs no rows trains without a store");
        const drawing = ["--model", join(folder, "dataless"), "--count", "4", "--out", join(folder, "grid.png"), "--preset", "smoke"];
        for (const [steps, calls] of Object.entries({ "": 2, 1: 1 })) {
          assert.match(await pipeline("sample", ...drawing, ...(steps ? ["--steps", steps] : [])), new RegExp(`evaluations +${calls}\\b`));
        }
        const three = await pipeline("sample", ...drawing, "--steps", "3").catch((error) => error);
        assert.is(three.code, 2);
        assert.match(three.stderr, /Cannot sample .*dataless in 3 network calls: it was made for 1 or 2 network calls\. .*--steps/);
        assert.match(await pipeline("inspect", join(folder, "dataless")), /sampling +2 network calls \(NFE 2\); at sigma 80, 1/);
        assert.match(await readFile(join(folder, "dataless/run.html"), "utf8"), /Samples: 2 network calls \(NFE 2\)/);
        const refused = await pipeline("train", ...teacher, "--method", "regression", "--out", join(folder, "none")).catch(
          (error) => error.stderr,
        );
        const unkept = await pipeline("run", images, "--preset", "smoke", "--method", "waymarks", "--out", join(folder, "r")).catch(
          (error) => error.stderr,
        );
        assert.match(String(unkept), /Cannot run waymarks without the teacher's states on the way: .* --trajectory 0,1,2 of 3/);
        const marked = join(folder, "waymarks");
        await pipeline("train", ...teacher, "--method", "waymarks", "--store", join(out, "triples"), "--out", marked);
        const spreads = [...(await readFile(join(marked, "metrics.jsonl"), "utf8")).matchAll(/"spread":([^,}]+)/g)];
        assert.ok(spreads.length > 0 && spreads.every(([, spread]) => Number(spread) > 0.01), "it saw states");

        assert.match(String(refused), /Cannot train by regression without triples: name a store of `pipeline simulate` with --store/);
      } finally {
        await rm(tree, { recursive: true, force: true });
      }
    }),
  { seconds: 360 },
);

test("the page shows the very file and recipe, and the file is short", async () => {
  const page = await readFile(join(root, "docs/ADD-A-METHOD.md"), "utf8");
  const source = await readFile(fixture("regression.ts"), "utf8");
  assert.ok(page.includes(source), "docs/ADD-A-METHOD.md shows another file than test/fixtures/method/regression.ts");
  assert.ok(page.includes(await readFile(fixture("regression.yaml"), "utf8")), "docs/ADD-A-METHOD.md shows another recipe");
  assert.ok(source.split("\n").length < 60);
});

test.run();
