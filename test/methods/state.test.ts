/** What a checkpoint holds follows from a method's parts: every set of every part, the loss scale of half precision too. */
import type { Engine } from "../../engine/engine.ts";
import type { VariableSet } from "../../engine/variables.ts";
import type { Weights } from "../../engine/weights.ts";
import { createTrained, savedState } from "../../models/training/trained.ts";
import { assert, suite } from "../harness.ts";

const test = suite("the state of a training");

/** An engine that only keeps variables. */
function keeping(precision: "single" | "half"): Engine {
  const variables = (name: string, weights: Weights): VariableSet => {
    let held = weights;
    return {
      ...({ kind: "variables", name, device: "none", variables: weights } as const),
      read: async () => held,
      load: async (given) => {
        held = given;
      },
    };
  };
  return { precision, variables } as unknown as Engine;
}

const weights: Weights = { w: { shape: [1], data: Float32Array.of(2) } };

test("a part that keeps no EMA saves none; in half precision the loss scale is saved and comes back", async () => {
  const single = savedState({ ...createTrained(keeping("single"), "student", weights) });
  assert.equal(Object.keys(await single.save()), ["network", "average", "first", "second"]);
  const bare = savedState({ ...createTrained(keeping("single"), "discriminator", weights, { average: false }) });
  assert.equal(Object.keys(await bare.save()), ["network", "first", "second"]);

  const half = savedState({ ...createTrained(keeping("half"), "discriminator", weights, { average: false }) });
  const { scaler, ...rest } = await half.save();
  assert.equal(Object.keys(scaler!).sort(), ["scale", "streak"]);
  const halved = { scale: { shape: [], data: Float32Array.of(1024) }, streak: { shape: [], data: Float32Array.of(7) } };
  await half.load({ ...rest, scaler: halved });
  assert.equal((await half.save()).scaler, halved);
  await assert.rejects(half.load(rest), /it holds no set "scaler"/);
});

test.run();
