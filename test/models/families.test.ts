import { readFileSync } from "node:fs";
import "../../engine/gradients.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { type Embedded, joinedEmbedded } from "../../models/encoders/encoder.ts";
import { dit } from "../../models/families/dit.ts";
import { type BoundFamily, bound, type Hooks } from "../../models/families/family.ts";
import { familyNames } from "../../models/families/registry.ts";
import { unet } from "../../models/families/unet.ts";
import { createInitialiser } from "../../models/initialise.ts";
import type { Parameters } from "../../models/layers.ts";
import { packageRoot } from "../../schemas/package.ts";
import type { DenoiserSpec } from "../../schemas/model.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { networkSettings } from "../../schemas/settings.ts";
import { plain } from "../fixtures/plain-family.ts";
import { assert, suite } from "../harness.ts";
import { noise, perturbed, toParameters } from "./parameters.ts";

const test = suite("families");

const conditions = ["none", "class", "caption"] as const;

function specOf(condition: (typeof conditions)[number], guidance = false): DenoiserSpec {
  const network = { condition, width: 8, depth: 2, heads: 2, multipliers: [1, 2], captionTokens: 5, textDepth: 1, guidance };
  const classes = condition === "class" ? ["a", "b", "c"] : [];
  return { ...settingsSchema.parse({ network }), shape: [8, 8, 2], classes, vocabulary: condition === "caption" ? 40 : 0 };
}

const weightsOf = (family: BoundFamily) => perturbed(Object.assign(family.init!(1), ...family.encoders.map(({ init }) => init?.(1))), 0.1);

/** What a network reads of two rows, by its own encoders. */
function embedded({ encoders }: BoundFamily, parameters: Parameters): Embedded {
  const keep = tf.ones([2]);
  const label = tf.tensor1d([0, 2], "int32");
  const tokens = tf.tensor2d([20, 21, 1, 0, 0, 30, 1, 0, 0, 0], [2, 5], "int32");
  const guidance = tf.tensor1d([1, 7.5]);
  return joinedEmbedded(encoders.map((encoder) => encoder.encode(parameters, { label, tokens, keep, guidance })));
}

const rows = () => ({ x: noise("x", [2, 8, 8, 2]), noiseLevel: tf.tensor1d([-0.6, 0.4]) });
const run = (family: BoundFamily, parameters: Parameters, hooks?: Hooks) =>
  family.apply(parameters, { ...rows(), ...embedded(family, parameters) }, hooks);

/** The features at every place, in the order of the pass. */
function tapped(family: BoundFamily, parameters: Parameters, hooks: Hooks = {}): Map<string, Tensor> {
  const seen = new Map<string, Tensor>();
  run(family, parameters, { ...hooks, tap: (place, features) => void seen.set(place, features) });
  return seen;
}

test.before(async () => {
  await tf.setBackend("cpu");
});

test("settings offer the families there are", () => {
  assert.equal([...networkSettings.shape.kind.unwrap().options].sort(), [...familyNames].sort());
});

for (const [kind, of] of Object.entries({ dit: bound(dit), unet: bound(unet), plain: bound(plain) })) {
  for (const [condition, guidance] of conditions.flatMap((each) => [[each, false] as const, [each, true] as const])) {
    const family = of(specOf(condition, guidance));
    const weights = weightsOf(family);
    const name = guidance ? `${kind} told of guidance` : kind;
    const reads = condition !== "none" || guidance;

    test(`${name}, ${condition}: every parameter has a part in the output, which is a latent's shape`, () => {
      const names = Object.keys(weights).filter((key) => key !== "text.null"); // it stands for what is dropped
      const parameters = toParameters(weights);
      const loss = (...values: Tensor[]): Tensor => {
        const own = { ...parameters, ...Object.fromEntries(names.map((key, i) => [key, values[i]!])) };
        return tf.sum(tf.mul(run(family, own), noise("direction", [2, 8, 8, 2])));
      };
      assert.equal(run(family, parameters).shape, [2, 8, 8, family.learnsSigma ? 4 : 2]);
      const gradients = tf.grads(loss as never)(names.map((key) => parameters[key]!));
      for (const [i, gradient] of gradients.entries()) assert.ok(tf.max(tf.abs(gradient)).dataSync()[0]! > 0, names[i]);
    });

    test(`${name}, ${condition}: it takes the conditions that it declares`, () => {
      const given = embedded(family, toParameters(weights));
      assert.equal(Object.keys(given).sort(), reads ? Object.keys(family.conditions).sort() : []);
      if (reads) assert.equal(given.vector!.shape, [2, ...family.conditions.vector!]);
      for (const { inputs } of family.encoders) {
        for (const { shape } of Object.values(inputs(7))) assert.is(shape[0], 7);
      }
    });

    test(`${name}, ${condition}: each of its groups and encoders has parameters of its own`, () => {
      const own = family.encoders.flatMap(({ parameters }) => parameters ?? []);
      const network = Object.keys(family.init!(1));
      for (const [group, pattern] of Object.entries(family.groups)) {
        if (group !== "embedding" || reads)
          assert.ok(
            network.some((key) => pattern.test(key)),
            group,
          );
        assert.not(
          Object.keys(weights).some((key) => pattern.test(key) && own.some((other) => other.test(key))),
          group,
        );
      }
      assert.equal(
        Object.keys(weights).filter((key) => own.some((pattern) => pattern.test(key))),
        Object.keys(weights).filter((key) => !network.includes(key)),
      );
    });
  }

  const family = of(specOf("class"));
  const parameters = toParameters(weightsOf(family));

  test(`${kind}: taps see what is there, and what is injected reaches the output`, () => {
    const places = [...tapped(family, parameters).keys()];
    assert.ok(places.length >= 2);
    const output = [...run(family, parameters).dataSync()];
    assert.equal([...run(family, parameters, { tap: () => {}, inject: (_, features) => features }).dataSync()], output);
    for (const place of places) {
      const changed = run(family, parameters, { inject: (at, features) => (at === place ? tf.mul(features, 1.5) : features) });
      assert.not.equal([...changed.dataSync()], output, place);
    }
    const deepest = family.features.at(-1) as string;
    const seen = tapped(family, parameters);
    for (const place of family.features) assert.ok(seen.has(place), place);
    assert.equal([...run(family, parameters, { last: deepest }).dataSync()], [...seen.get(deepest)!.dataSync()]);
  });

  if (!family.trunk) continue;
  const { trunk } = family;

  test(`${kind}: as a trunk it needs the parameters that it uses alone, and its ways in and heads fit`, () => {
    for (const depth of [1, 2]) {
      const { uses, last, noise: noisy, copies, heads, map, first } = trunk({ depth, scales: [1, 2] });
      const used = Object.fromEntries(Object.entries(parameters).filter(([key]) => uses(key)));
      assert.ok(first in used && Object.keys(used).length < Object.keys(parameters).length);
      const seen = tapped(family, used, { last });
      for (const { place, channels } of heads) assert.is(map(seen.get(place)!).shape[3], channels, place);
      for (const entrance of [noisy, ...copies]) {
        const init = createInitialiser(0);
        entrance.init(init, "way");
        for (const { data } of Object.values(init.weights)) assert.ok(data.every((value) => value === 0));
        const side = 8 / entrance.scale;
        const added = entrance.apply(toParameters(init.weights), "way", noise("copy", [2, side, side, 2]));
        assert.equal(added.shape, seen.get(entrance.place)!.shape);
      }
      assert.equal(
        copies.map(({ scale }) => scale),
        [2],
      );
    }
  });
}

test("the example of docs/ADD-A-MODEL.md is the family tested here", () => {
  const example = readFileSync(new URL("test/fixtures/plain-family.ts", packageRoot()), "utf8");
  const shown = example.replaceAll("../../models/families/", "./").replaceAll("../../models/", "../");
  assert.ok(readFileSync(new URL("docs/ADD-A-MODEL.md", packageRoot()), "utf8").includes(shown));
});

test.run();
