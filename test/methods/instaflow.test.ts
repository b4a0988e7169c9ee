/** InstaFlow's reflow against its definition in the paper's own coordinates, and a run of all its phases. */
import { readFile } from "node:fs/promises";
import "../../engine/gradients.ts";
import { tf } from "../../engine/tfjs.ts";
import { lineLevels, method } from "../../methods/instaflow.ts";
import type { Update } from "../../methods/method.ts";
import { optimiserOf, ownSettings } from "../../methods/registry.ts";
import { type DenoiserSpec, initDenoiser } from "../../models/denoiser.ts";
import { pathStraightness } from "../../models/diffusion/straightness.ts";
import { sample } from "../../pipelines/sample.ts";
import { simulate } from "../../pipelines/simulate.ts";
import { train } from "../../pipelines/train.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { readDenoiser } from "../../stages/runs/model.ts";
import { openTripleStore } from "../../store/rows/triples.ts";
import { assert, suite } from "../harness.ts";
import { toParameters } from "../models/parameters.ts";
import { contents, inFolder, recordingContext, tinySettings, withTriples } from "../train/fixture.ts";

const test = suite("instaflow");

test("the reflow's loss is the squared error of the velocity on X_t = t X1 + (1 - t) X0", () => {
  const settings = settingsSchema.parse({
    network: { width: 16, depth: 1, heads: 1, patch: 2, condition: "none" },
    train: { batch: 3, instaflow: { phase: "reflow" } },
  });
  const spec = { ...settings, shape: [4, 4, 1], classes: [], vocabulary: 0 } as unknown as DenoiserSpec;
  const weights = initDenoiser(spec, 1); // a fresh network answers 0, so D = cSkip x in closed form (Karras et al. 2022, table 1)
  const [noise, result] = ["noise", "result"].map((stream) => normals({ seed: 1, stream, length: 48 })) as [Float32Array, Float32Array];
  const times = [0.1, 0.5, 0.9];

  const errors = times.flatMap((t, row) =>
    Array.from({ length: 16 }, (_, i) => {
      const [x0, x1] = [noise[row * 16 + i]!, result[row * 16 + i]!];
      const xt = t * x1 + (1 - t) * x0;
      const sigma = (1 - t) / t;
      const clean = (0.25 / (sigma ** 2 + 0.25)) * (xt / t);
      const velocity = (clean - xt) / (1 - t);
      return (velocity - (x1 - x0)) ** 2;
    }),
  );
  const expected = errors.reduce((sum, error) => sum + error, 0) / errors.length;

  const job = { settings: ownSettings(method as never, settings.train), optimiser: optimiserOf(settings.train), seed: 0 };
  const programs = method.programs({ ...job, subject: { spec }, weights: { teacher: weights } });
  const { loss } = programs.reflow as Update;
  const levels = Object.entries(lineLevels(spec, times)).map(([name, values]) => [name, tf.tensor1d(values)]);
  const images = { noise: tf.tensor(noise, [3, 4, 4, 1]), clean: tf.tensor(result, [3, 4, 4, 1]), keep: tf.ones([3]) };
  const found = loss(toParameters(weights), { ...images, ...Object.fromEntries(levels) }, {}).loss.dataSync()[0]!;
  assert.ok(Math.abs(found - expected) < 1e-4 * expected, `${found} instead of ${expected}`);
});

/** A network that answers the same number everywhere: a fresh one whose last bias is set. */
function constantNetwork(diffusion: object, bias: number) {
  const settings = settingsSchema.parse({
    diffusion,
    network: { width: 16, depth: 1, heads: 1, patch: 2, condition: "none" },
    train: { batch: 3, instaflow: { phase: "reflow" } },
  });
  const spec = { ...settings, shape: [4, 4, 1], classes: [], vocabulary: 0 } as unknown as DenoiserSpec;
  const weights = initDenoiser(spec, 1);
  weights["final.out.bias"]!.data.fill(bias);
  return { settings, spec, weights };
}

const units = (stream: string): Float32Array => normals({ seed: 1, stream, length: 48 });

test("a straight coupling has straightness 0, along its lines and along the flow's paths", () => {
  // A velocity F = epsilon - clean of b everywhere is the flow X1 = X0 - b, whose paths and lines are the same.
  for (const bias of [0, 0.6]) {
    const { settings, spec, weights } = constantNetwork({ parameterisation: "flow" }, bias);
    const noise = tf.tensor(units("noise"), [3, 4, 4, 1]);
    const paths = pathStraightness({ spec, parameters: toParameters(weights), noise, given: {}, steps: 8 }).dataSync()[0]!;
    assert.ok(Math.abs(paths) < 1e-9, `${paths} along the paths`);
    const job = { settings: ownSettings(method as never, settings.train), optimiser: optimiserOf(settings.train), seed: 0 };
    const { loss } = method.programs({ ...job, subject: { spec }, weights: {} }).reflow as Update;
    const levels = Object.entries(lineLevels(spec, [0.1, 0.5, 0.9])).map(([name, values]) => [name, tf.tensor1d(values)]);
    const given = { noise, clean: tf.sub(noise, bias), keep: tf.ones([3]), ...Object.fromEntries(levels) };
    const lines = loss(toParameters(weights), given as never, {}).loss.dataSync()[0]!;
    assert.ok(Math.abs(lines) < 1e-9, `${lines} along the lines`);
  }
});

test("curved paths have the straightness of their definition, by Euler in the paper's coordinates", () => {
  const { spec, weights } = constantNetwork({ parameterisation: "edm", sigmaMax: 20 }, 0.4);
  const [noise, steps] = [units("noise"), 5];
  const begin = 1 / 21;
  const length = (1 - begin) / steps;
  const squares = Array.from(noise, (x0) => {
    const start = 20 * begin * x0;
    let z = start;
    const velocities: number[] = [];
    for (let i = 0; i < steps; i++) {
      const t = begin + i * length;
      const sigma = (1 - t) / t;
      const clean = (0.25 / (sigma ** 2 + 0.25)) * (z / t) + ((0.5 * sigma) / Math.sqrt(sigma ** 2 + 0.25)) * 0.4;
      velocities.push((clean - z) / (1 - t));
      z += velocities.at(-1)! * length;
    }
    const straight = (z - start) / (1 - begin);
    return velocities.reduce((sum, v) => sum + (straight - v) ** 2, 0) / steps;
  });
  const expected = squares.reduce((sum, square) => sum + square, 0) / squares.length;
  const options = { spec, parameters: toParameters(weights), noise: tf.tensor(noise, [3, 4, 4, 1]), given: {}, steps };
  const found = pathStraightness(options).dataSync()[0]!;
  assert.ok(expected > 0.01 && Math.abs(found - expected) < 1e-4 * expected, `${found} instead of ${expected}`);
});

test("any number of reflows are phases of their own, and once is called as it always was", () => {
  const own = (train: object) => ownSettings(method as never, settingsSchema.parse({ train: { instaflow: train } }).train) as never;
  const named = (train: object) => method.phases!(own(train)).map((phase) => phase.name);
  assert.equal(named({}), ["reflow", "pairs", "distil"]);
  assert.equal(named({ reflows: 1 }), named({}));
  assert.equal(named({ reflows: 3 }), ["reflow-1", "pairs-1", "reflow-2", "pairs-2", "reflow-3", "pairs-3", "distil"]);
  const guidances = method.phases!(own({ reflows: 3 })).flatMap((phase) => ("simulate" in phase ? [phase.simulate.guidance] : []));
  assert.equal(guidances, [1, 1, 1.5]);
  assert.not.ok("reflows" in own({}) || "stack" in own({}), "runs of earlier versions keep their identity");
});

test(
  "two reflows and a student of two networks: straightness before and after, samples",
  () =>
    inFolder(async (folder) => {
      const own = { reflows: 2, stack: 2, reflowSteps: 5, pairSteps: 3, adapter: "all" };
      const settings = tinySettings({ train: { method: "instaflow", steps: 4, distanceEvery: 0, instaflow: own } });
      const { at, context } = await withTriples(folder, settings);
      const request = { store: at("triples"), teacher: at("teacher"), settings };
      const student = await train({ ...request, out: at("student"), context });

      const [one, two] = [await readDenoiser(at("student/reflow-1")), await readDenoiser(at("student/reflow-2"))];
      const pairs = async (name: string) => (await openTripleStore({ folder: at(`student/${name}`) })).manifest;
      const [first, second] = [await pairs("pairs-1"), await pairs("pairs-2")];
      assert.equal([first.teacher.hash, second.teacher.hash], [one.description.hash, two.description.hash]);
      assert.equal([first.guidance, second.guidance, first.seed === second.seed], [1, 1.5, false]);
      for (const name of ["reflow-1", "reflow-2"]) {
        const lines = (await readFile(at(`student/${name}/metrics.jsonl`), "utf8")).trim().split("\n");
        const looked = lines.map((line) => JSON.parse(line)).filter(({ paths }) => paths !== undefined);
        assert.equal([looked[0].step, looked.at(-1).step], [1, 5]);
        assert.ok(looked.every(({ paths }) => paths > 0 && Number.isFinite(paths)));
      }

      assert.is(student.description.spec.network.stack, 2);
      const names = Object.keys(student.weights);
      for (const name of Object.keys(two.weights)) {
        const own = names.includes(name) ? [name] : [`first.${name}`, `second.${name}`];
        for (const part of own) assert.ok(names.includes(part), part);
      }
      const both = ["first", "second"].map((part) => student.weights[`${part}.blocks.0.up.kernel`]!.data);
      const moved = both.map((data) => data.some((value, i) => value !== two.weights["blocks.0.up.kernel"]!.data[i]));
      assert.equal([...moved, both[0]!.some((value, i) => value !== both[1]![i])], [true, true, true], "both are trained, apart");
      await sample({ model: at("student"), count: 4, out: at("grid.png"), settings, context });
    }),
  { seconds: 240 },
);

test(
  "the distillation into two networks, stopped and started again, ends with the bits of an unbroken one",
  () =>
    inFolder(async (folder) => {
      const settings = tinySettings({
        train: { method: "instaflow", steps: 5, distanceEvery: 0, checkpointEvery: 2, instaflow: { phase: "distil", stack: 2 } },
      });
      const { at, context } = await withTriples(folder, settings);
      const alone = { store: at("triples"), teacher: at("teacher"), settings };
      await train({ ...alone, out: at("whole"), context });
      const broken = recordingContext();
      const stopping = {
        ...broken.context,
        report: (event: Parameters<typeof broken.context.report>[0]) => {
          if (event.type === "progress" && event.stage === "train" && event.done === 3) broken.stop(new Error("stopped"));
        },
      };
      const stopped = await train({ ...alone, out: at("broken"), context: stopping }).catch((error: Error) => error.message);
      assert.is(stopped, "stopped");
      await train({ ...alone, out: at("broken"), context });
      const [whole, again] = [await contents(at("whole")), await contents(at("broken"))];
      assert.equal(Object.keys(again).sort(), Object.keys(whole).sort());
      for (const [name, bytes] of Object.entries(whole)) assert.ok(again[name] === bytes, `${name} differs`);
    }),
  { seconds: 240 },
);

test(
  "its phases end with a student of one step; the reflowed network between them is a teacher again",
  () =>
    inFolder(async (folder) => {
      const settings = tinySettings({
        train: { method: "instaflow", steps: 6, distanceEvery: 0, instaflow: { reflowSteps: 5, pairSteps: 4 } },
      });
      const { at, context } = await withTriples(folder, settings);
      const student = await train({ store: at("triples"), teacher: at("teacher"), out: at("student"), settings, context });

      assert.equal(student.description.sampler?.times, [settings.diffusion.sigmaMax]);
      const reflowed = await readDenoiser(at("student/reflow"));
      assert.is(reflowed.description.sampler?.times, "any");
      const pairs = (await openTripleStore({ folder: at("student/pairs") })).manifest;
      assert.is(pairs.teacher.hash, reflowed.description.hash);
      assert.equal([pairs.solver.steps, pairs.guidance, pairs.entries], [4, 1.5, settings.simulate.count]);
      const terms = (await readFile(at("student/metrics.jsonl"), "utf8"))
        .trim()
        .split("\n")
        .map((line) => Object.keys(JSON.parse(line)));
      assert.ok(terms.at(-1)!.includes("perceptual"), "the end of the distillation is perceptual");

      await simulate({ teacher: at("student/reflow"), out: at("own"), settings, context }); // by any solver, at the user's wish
      const message = await simulate({ teacher: at("student"), out: at("none"), settings, context }).catch((error: Error) => error.message);
      assert.match(String(message), /Cannot simulate .*student: it holds a student that is asked at fixed noise levels/);
    }),
  { seconds: 240 },
);

test.run();
