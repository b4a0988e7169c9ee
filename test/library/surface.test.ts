/** What users of the package may import: these names and no others, of these types. One that comes or goes is a change for them. */
import type { RecordBatch } from "apache-arrow";
import * as engine from "../../library/engine.ts";
import * as flow from "../../library/flow.ts";
import * as methods from "../../library/methods.ts";
import * as onestep from "../../library/onestep.ts";
import * as store from "../../library/store.ts";
import { assert, suite } from "../harness.ts";

const test = suite("surface of the package");

const surface = {
  onestep: [onestep, "Failure createEngine ingest isFailure openStore pretrain sample simulate train"],
  "onestep/engine": [
    engine,
    `asPiece copyWeights countWeights createEngine endBlock hashWeights layerNorm loadWeights openWeights startCompute stopGradient swish tf
      transferables zerosLike`,
  ],
  "onestep/flow": [flow, "batch decode drain fillLatents inTurn iterate pull stage through together"],
  "onestep/methods": [methods, "addMethod conditionInputs count fraction generate methods pseudoHuber rate squaredError tf weight z"],
  "onestep/store": [
    store,
    `createLatentStore createTokenStore createTripleStore idRange latentBatches missingShards noiseOf openLatentStore openStore
      openTokenStore openTripleStore presentShards readFailures readLatents readRows readShard readSummary readTriples recordBatches
      sealStore statesOf tokenBatches tripleBatches verifyStore writeShard`,
  ],
} as const;

for (const [name, [module, names]] of Object.entries(surface)) {
  test(`"${name}" exports what is listed`, () => assert.equal(Object.keys(module).sort(), names.split(/\s+/)));
}

/** Compiles where two types are the same, and only then. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};

test("types are what the pages say (the compiler looks)", () => {
  same<Awaited<ReturnType<typeof onestep.openStore>>, store.OpenStore>(true);
  same<ReturnType<store.OpenStore["batches"]>, AsyncGenerator<RecordBatch>>(true);
  same<Awaited<ReturnType<typeof onestep.ingest>>, store.Summary | undefined>(true);
  same<Awaited<ReturnType<typeof onestep.sample>>[number]["pixels"], Uint8Array>(true);
  same<Awaited<ReturnType<typeof onestep.createEngine>>, engine.Engine>(true);
  const settings: onestep.SettingsInput = { train: { steps: 8, huber: { distanceWeight: 2 } }, simulate: { trajectory: [0, 4] } };
  // @ts-expect-error: a group has no such setting
  const wrong: onestep.SettingsInput = { simulate: { counts: 8 } };
  // @ts-expect-error: a student has a teacher
  const lacking: Parameters<typeof onestep.train>[0] = { out: "student" };
  assert.ok(settings && wrong && lacking);
});

test.run();
