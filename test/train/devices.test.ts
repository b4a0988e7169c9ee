/** Lists of devices, and workers that do not fit a batch: each is set, or refused in a sentence. */
import { checkFit } from "../../recipes/fit.ts";
import { assignmentLayer, pathLayer, presetLayer, resolveSettings } from "../../recipes/resolve-settings.ts";
import { isFailure } from "../../schemas/failure.ts";
import { startWorker } from "../../stages/workers/start.ts";
import { assert, suite } from "../harness.ts";

const test = suite("devices");

const asked = (device: string, ...more: string[]) =>
  resolveSettings([presetLayer("smoke"), ...more.map(assignmentLayer), pathLayer("engine.device", device, "--device")]);

test("several cards are a kind and numbers, with a trainer and a sampler on each unless told", () => {
  const { engine, train, simulate, pretrain } = asked("cuda:0,cuda:2");
  assert.equal([engine.device, engine.cards], ["cuda", [0, 2]]);
  assert.equal([train.workers, simulate.workers, pretrain.teacher.workers], [2, 2, 2]);
  assert.equal(asked("cuda:0,cuda:1", "train.workers=4").train.workers, 4);
  const one = asked("cuda:1");
  assert.equal([one.engine.cards, one.train.workers], [[1], 1]);
  assert.is(asked("cuda").engine.cards, undefined);
});

const refused: [device: string, says: RegExp][] = [
  ["cuda:x", /"cuda:x" \(--device\): "cuda:x" has no number/],
  ["cuda:", /"cuda:" has no number/],
  ["cuda,cuda:1", /"cuda" has no number.*cuda:0,cuda:1/],
  ["cuda:0,", /"" is no device of a list/],
  ["cuda:0,cuda:0", /card 0 is named twice/],
  ["cuda:0,cpu", /the CPU is one device.*--workers/],
  ["cpu:1", /the CPU is one device/],
  ["webgpu:0,webgpu:1", /adapter of WebGPU/],
  ["gpu:0", /"gpu:0" is no device of a list/],
  ["gpu", /expected .*cpu/],
  ["cuda:99999", /has no number/],
];
for (const [device, says] of refused)
  test(`--device ${device} is refused`, () => {
    assert.throws(
      () => asked(device),
      (error: Error & { exitCode?: number }) => error.exitCode === 2 && says.test(error.message),
    );
  });

const unfit: [set: string[], says: RegExp][] = [
  [["train.workers=5", "train.batch=4"], /train.workers=5 with train.batch=4.*fewer rows than there are workers/],
  [["train.workers=3", "train.batch=4"], /train.workers=3.*divided evenly/],
  [["train.workers=2", "train.batch=6", "train.accumulate=3"], /train.accumulate=3.*multiple of workers/],
  [["engine.cards=[0,1]"], /engine.cards=\[0,1\] with engine.device=cpu.*only CUDA/i],
  [["engine.device=cuda:0,cuda:1", "train.workers=3", "train.batch=6"], /train.workers=3 with engine.cards/],
];
for (const [set, says] of unfit)
  test(`${set.join(" ")} is refused`, () => {
    const settings = resolveSettings([presetLayer("smoke"), ...set.map(assignmentLayer)]);
    assert.throws(
      () => checkFit({ settings, parts: ["train"] }),
      (error: Error & { exitCode?: number }) => error.exitCode === 2 && says.test(error.message),
    );
  });

test("what fits is let through", () => {
  for (const set of [["train.workers=2"], ["train.workers=2", "train.batch=8", "train.accumulate=4"], ["engine.device=cuda:0,cuda:1"]])
    checkFit({ settings: resolveSettings([presetLayer("smoke"), ...set.map(assignmentLayer)]), parts: ["train", "simulate"] });
});

test("a device that is not there is told in a sentence", async () => {
  const script = `throw new Error('Cannot use device "cuda": no driver.')`;
  const module = new URL(`data:text/javascript,export const create = () => { ${script} }`);
  const starting = startWorker({ name: "trainer", module, options: {}, remedy: "buy one" });
  const error = await assert.rejects(starting, /^Cannot use device "cuda": no driver\.$/);
  assert.ok(isFailure(error));
});

test.run();
