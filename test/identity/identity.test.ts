/**
 * Students, networks and stores have the bytes they had before: fingerprints that the code of commit 0ec94d6 made on a processor
 * with AVX-512, and that of commits 64ad352 (smoke) and 2d28cc8 (tiny, demo) on one with AVX2. On others products round otherwise, and
 * nothing is compared. Who changes a recipe on purpose makes its fingerprints anew.
 *
 * Smoke runs always; ONESTEP_IDENTITY=tiny,demo adds 200 steps of the preset tiny (2 minutes) and the demo (6 minutes).
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { commandLine } from "../fixtures/command-line.ts";
import { writeSceneZip } from "../../data/scenes/build.ts";
import { machine } from "../../stages/doctor/machine.ts";
import { assert, suite } from "../harness.ts";
import { inFolder } from "../train/fixture.ts";
import { fingerprints, summarised } from "./prints.ts";

const test = suite("identity");

interface Job {
  /** Seconds it may take. */
  seconds: number;
  words: string[];
  /** Whether it runs on the built-in pictures that this test draws; the demo draws its own. */
  hasImages: boolean;
}

const features = ["train.distanceFeatures=builtin", "evaluate.features=builtin"];
const jobs: Record<string, Job> = {
  smoke: { seconds: 240, hasImages: true, words: ["--preset", "smoke", ...settings(["network.condition=caption", ...features])] },
  tiny: {
    seconds: 900,
    hasImages: true,
    words: [
      ...["--preset", "tiny"],
      ...settings(["network.condition=caption", "pretrain.teacher.steps=40", "pretrain.perceptual.steps=40", "simulate.count=512"]),
      ...settings(["train.steps=200", "train.diffusion2gan.adversarialStart=100", ...features]),
    ],
  },
  demo: { seconds: 1800, hasImages: false, words: settings(features) },
};

function settings(values: string[]): string[] {
  return values.flatMap((value) => ["--set", value]);
}

const asked = (process.env.ONESTEP_IDENTITY ?? "").split(",");
const kept = JSON.parse(await readFile(new URL("./fingerprints.json", import.meta.url), "utf8")) as {
  onnxruntime: string;
  node: string;
  processors: Record<string, Record<string, Record<string, string>>>;
};
const { processor, onnxruntime, node } = machine();
/** One name stands for several generations of a processor, which differ in the instructions that products are made of. */
const flags = await readFile("/proc/cpuinfo", "utf8").catch(() => "");
const extension = /\bavx512f\b/.test(flags) ? "AVX-512" : /\bavx2\b/.test(flags) ? "AVX2" : "other instructions";
const kind = `${processor}, ${extension}`;
const isAlike = onnxruntime === kept.onnxruntime && node.split(".")[0] === kept.node;

for (const [name, { seconds, words, hasImages }] of Object.entries(jobs)) {
  if (name !== "smoke" && !asked.includes(name)) {
    test.skip(`${name} makes the bytes it made before`, `slow; ONESTEP_IDENTITY=${name} runs it`);
    continue;
  }
  const before = isAlike ? kept.processors[kind]?.[name] : undefined;
  if (!before) {
    const of = Object.keys(kept.processors).join("; ");
    test.skip(
      `${name} makes the bytes it made before`,
      `there are fingerprints of ${of}, with onnxruntime ${kept.onnxruntime} and Node ${kept.node}, and this is ${kind}`,
    );
    continue;
  }
  test(
    `${name} makes the bytes it made before`,
    () =>
      inFolder(async (folder) => {
        const out = join(folder, name);
        const images = join(folder, "scenes.zip");
        if (hasImages) await writeSceneZip({ path: images, count: 96, seed: 0 });
        const { code, err } = await commandLine(["run", ...(hasImages ? [images] : []), ...words, "--out", out, "--quiet"]);
        assert.is(code, 0, err);
        assert.equal(summarised(await fingerprints(out)), before);
      }),
    { seconds },
  );
}

test.run();
