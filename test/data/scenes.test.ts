import { createHash } from "node:crypto";
import { attributeNames, attributeValues, combinationCount, orderCount, parseCaption, phrase } from "../../data/scenes/attributes.ts";
import { renderScene, svgOf } from "../../data/scenes/draw.ts";
import { captionOf, scene } from "../../data/scenes/scene.ts";
import { assert, suite } from "../harness.ts";

const test = suite("scenes");
const scenes = (count: number, seed = 1) => Array.from({ length: count }, (_, index) => scene({ seed, index }));

test("a scene is a pure function of seed and index", () => {
  const forwards = scenes(200);
  const backwards = Array.from({ length: 200 }, (_, i) => scene({ seed: 1, index: 199 - i })).reverse();
  assert.equal(backwards, forwards);
  assert.not.equal(scenes(200, 2), forwards);
});

test("the drawing is frozen", () => {
  // Whoever changes the art changes this, and trains the demo weights anew.
  const hash = createHash("sha256");
  for (const each of scenes(120, 7)) hash.update(svgOf(each));
  assert.is(hash.digest("hex"), "e282f180327e840f4fdc3a505fe60f5a59837d9ebf50143693399dddd1b3a0cc");
});

test("the same scene gives the same PNG", async () => {
  const [drawn] = scenes(1, 3);
  assert.equal(await renderScene(drawn!, { size: 64 }), await renderScene(drawn!, { size: 64 }));
});

test("every hand of 120 is balanced, and a round holds every combination once", () => {
  const round = scenes(combinationCount, 5);
  for (let first = 0; first < combinationCount; first += 120) {
    const hand = round.slice(first, first + 120);
    for (const name of attributeNames) {
      const values: readonly unknown[] = attributeValues[name];
      for (const value of values) {
        assert.is(hand.filter((each) => each[name] === value).length, 120 / values.length, `${name} ${value}`);
      }
    }
  }
  assert.is(new Set(round.map((each) => attributeNames.map((name) => each[name]).join())).size, combinationCount);
});

test("thousands of captions differ", () => {
  assert.ok(new Set(scenes(4000).map(captionOf)).size >= 2000);
});

test("subjects keep apart and inside the picture", () => {
  for (const { layout } of scenes(3000, 9)) {
    const edges = layout.subjects.map(({ x, width }) => [x - 0.54 * width, x + 0.54 * width] as const);
    edges.forEach(([left, right], i) => {
      assert.ok(left > 0 && right < 64, "inside");
      assert.ok(i === 0 || left > edges[i - 1]![1], "apart");
    });
  }
});

test("a caption reads back as its attributes in every word order", () => {
  for (const each of scenes(600, 11)) {
    const attributes = Object.fromEntries(attributeNames.map((name) => [name, each[name]]));
    for (let order = 0; order < orderCount; order++) assert.equal(parseCaption(phrase(each, order)), attributes);
  }
  assert.equal(parseCaption("Two RED boats, on the sea; at sunset!").count, 2);
});

test("a caption that leaves something out is refused by name", () => {
  assert.throws(() => parseCaption("two boats on the sea at sunset"), /colour in the caption "two boats/);
  assert.throws(() => parseCaption(""), /kind/);
});

test.run();
