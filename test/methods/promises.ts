/** What every method that makes students promises: overlap without nondeterminism, and exact resume; by halves: no file takes long. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { methodNamed, methodNames, optimiserOf, ownSettings } from "../../methods/registry.ts";
import { ingest } from "../../pipelines/ingest.ts";
import { pretrain } from "../../pipelines/pretrain.ts";
import { run } from "../../pipelines/run.ts";
import { simulate } from "../../pipelines/simulate.ts";
import { train } from "../../pipelines/train.ts";
import type { Settings } from "../../schemas/settings.ts";
import { madeOnce } from "../fixtures/made-once.ts";
import { assert, suite } from "../harness.ts";
import { contents, recordingContext, tinySettings, writeSquares } from "../train/fixture.ts";

const test = suite("every method");

/** One job that all methods share: images, latents, a perceptual network, a teacher and its triples. */
const folder = await mkdtemp(join(tmpdir(), "onestep-methods-"));
const at = (...names: string[]): string => join(folder, ...names);
test.after(() => rm(folder, { recursive: true, force: true }));

/** One method of each half stands for all where the distance is measured on the way. */
const measured = new Set(methodNames().slice(0, 2));

const settingsOf = (method: string): Settings =>
  tinySettings({
    train: {
      method,
      steps: 9,
      stepsPerShard: 1,
      checkpointEvery: 3,
      distanceEvery: measured.has(method) ? 9 : 0, // it takes longer than the steps
      perceptual: at("perceptual"),
      tokenizer: at("tokenizer"),
      images: at("latents"),
    },
  });

/** What student a method makes of a finished store, with the files of its folder. */
async function finished(method: string): Promise<Record<string, string>> {
  const { context } = recordingContext();
  await train({ store: storeOf(method), teacher: at("teacher"), out: at(method, "whole"), settings: settingsOf(method), context });
  return contents(at(method, "whole"), SETTINGS);
}

/** Commands are told their settings in different words. */
const SETTINGS = /settings\.yaml$/;

function storeOf(name: string): string | undefined {
  const method = methodNamed(name);
  const { train } = settingsOf(name);
  return method.needs(ownSettings(method, train), optimiserOf(train)).rows === "triples" ? at("triples") : undefined;
}

/** One method of those that read no triples stands for all in overlapped runs, which take longest. */
const onImages = methodNames().find((name) => !storeOf(name));

function assertSame(found: Record<string, string>, expected: Record<string, string>): void {
  assert.equal(Object.keys(found).sort(), Object.keys(expected).sort());
  for (const [name, bytes] of Object.entries(expected)) assert.ok(found[name] === bytes, `${name} differs`);
}

test(
  "there are images, networks and triples",
  async () => {
    const settings = tinySettings();
    const make = async (fresh: string): Promise<void> => {
      const images = await writeSquares(fresh);
      const made = (name: string): string => join(fresh, name);
      const { context } = recordingContext();
      await ingest({ images: [images], out: made("latents"), settings, context });
      await pretrain({ what: "perceptual", data: made("latents"), out: made("perceptual"), settings, context });
      await pretrain({ what: "tokenizer", data: made("latents"), out: made("tokenizer"), settings, context });
      await pretrain({ what: "teacher", data: made("latents"), out: made("teacher"), settings, context });
      await simulate({ teacher: made("teacher"), conditions: made("latents"), out: made("triples"), settings, context });
    };
    await madeOnce(folder, { name: "ground", of: settings, make });
  },
  { seconds: 120 },
);

/** Tests these methods, and runs them. */
export function holdToPromises(names: readonly string[]): void {
  for (const method of names) {
    test(
      `${method}: an overlapped run gives the student, store and pictures of one stage after the other, to the bit`,
      async () => {
        const whole = await finished(method);
        assert.ok(whole["metrics.jsonl"] && Boolean(whole["distance.svg"]) === measured.has(method));
        if (!storeOf(method) && method !== onImages) return; // images are followed in one way, whoever learns from them
        const { context } = recordingContext();
        await run({ images: [at("images")], out: at(method, "run"), teacher: at("teacher"), settings: settingsOf(method), context });
        assertSame(await contents(at(method, "run/student"), SETTINGS), whole);
        if (storeOf(method)) assertSame(await contents(at(method, "run/triples"), SETTINGS), await contents(at("triples"), SETTINGS));
        assertSame(await contents(at(method, "run/latents"), SETTINGS), await contents(at("latents"), SETTINGS));
        assert.ok((await contents(at(method, "run")))["samples.png"]);
      },
      { seconds: 240 },
    );

    test(
      `${method}: training stopped at any step and started again ends with the bits of an unbroken run`,
      async () => {
        const request = { store: storeOf(method), teacher: at("teacher"), out: at(method, "broken"), settings: settingsOf(method) };
        for (const last of [3]) {
          const broken = recordingContext();
          const stopping = {
            ...broken.context,
            report: (event: Parameters<typeof broken.context.report>[0]) => {
              if (event.type === "progress" && event.stage === "train" && event.done === last) broken.stop(new Error("stopped"));
            },
          };
          await train({ ...request, context: stopping }).then(
            () => assert.unreachable("it was to stop"),
            (error: Error) => assert.is(error.message, "stopped"),
          );
        }
        await train({ ...request, context: recordingContext().context });
        assertSame(await contents(at(method, "broken"), SETTINGS), await contents(at(method, "whole"), SETTINGS));
      },
      { seconds: 240 },
    );
  }
  test.run();
}
